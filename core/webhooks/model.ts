/** The stored shapes of webhooks and of their deliveries. Times are epoch milliseconds. */
import type { DeliveryAttemptBody, DeliveryStatus } from '../contract/webhooks.ts';
import type { RowBase } from '../table/rows.ts';

export interface SealedSecret {
  /** What the port `Seals` made of it. */
  readonly sealed: string;
  readonly createdAt: number;
  /** From then on it signs nothing; absent: it stands. */
  readonly endsAt?: number;
}

export interface WebhookRow extends RowBase {
  readonly id: string;
  readonly url: string;
  readonly description?: string;
  readonly events: readonly string[];
  readonly status: 'active' | 'disabled' | 'deleted';
  readonly disabled?: {
    readonly kind: 'user' | 'auto';
    readonly reason: string;
    readonly at: number;
    readonly by: string;
  };
  /** When it was last switched off, kept once it is on again: what waited then is not sent any more. */
  readonly offAt?: number;
  /** The newest first. */
  readonly secrets: readonly SealedSecret[];
  /** No delivery has been taken since. These three are no part of what the version counts. */
  readonly failingSince?: number;
  readonly failures?: number;
  /** So that an endpoint which does not answer holds up nobody else: until then nothing is tried. */
  readonly holdUntil?: number;
  readonly version: number;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly writer?: string;
}

/** What fan-out reads of it. */
export interface ListedWebhookRow extends RowBase {
  readonly id: string;
  readonly events: readonly string[];
  readonly active: boolean;
}

export interface AttemptRecord extends Omit<DeliveryAttemptBody, 'at'> {
  readonly at: number;
}

export interface DeliveryRow extends RowBase {
  readonly id: string;
  readonly webhookId: string;
  readonly eventType: string;
  readonly eventId: string;
  /** JSON text: what is signed is sent to the byte, each time the same. */
  readonly payload: string;
  readonly status: DeliveryStatus;
  readonly reason?: string;
  /** All tries ever begun. Each claim raises it, so that two senders never make the same one. */
  readonly attemptCount: number;
  /** Tries before somebody asked for it to be sent again: those that follow have a whole day of their own. */
  readonly triedBefore?: number;
  /** A try was begun then, and has not been told of yet. */
  readonly claimedAt?: number;
  /** The last ones. */
  readonly attempts: readonly AttemptRecord[];
  /** Somebody waits for it: it is tried although its endpoint is held. */
  readonly urgent?: boolean;
  readonly createdAt: number;
  readonly settledAt?: number;
  readonly listIn: string;
  readonly listAt: string;
  readonly checkIn?: string;
  readonly checkAt?: number;
  readonly expiresAt?: number;
  readonly ttl?: number;
}
