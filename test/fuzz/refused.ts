/** A line of the server's log: something was not let out of this machine. */
export const REFUSED = 'fuzz: not let out';
