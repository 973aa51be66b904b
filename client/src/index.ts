/** The client of Candor's API. */
export * from './client.ts';
export * from './contract.ts';
export * from './errors.ts';
export type { Arguments, CallOptions, OperationName, Request, Version } from './request.ts';
