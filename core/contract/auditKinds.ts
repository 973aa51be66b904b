/** What an audit counts, apart from the schemas around it. */
export const AUDIT_KINDS = ['missing', 'double', 'orphans', 'leaks', 'drifted'] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];
export type AuditCounts = Readonly<Record<AuditKind, number>>;
