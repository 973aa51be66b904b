/** Those in whose name the API is called. */
export const CALLER = { tenantId: 'ten_local', principalId: 'usr_local' };
export const BOSS = { tenantId: 'ten_local', principalId: 'usr_boss' };
export const ELSEWHERE = { tenantId: 'ten_elsewhere', principalId: 'usr_elsewhere' };
