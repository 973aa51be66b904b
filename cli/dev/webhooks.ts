/** Sends webhooks on one machine: woken when there is something to send, and looking by itself for what is to be tried again. */
import type { Ports } from '../../core/ports.ts';
import { sendDue } from '../../core/webhooks/due.ts';

const IDLE_MS = 1000;
/** Writers wake it; a burst of them costs one turn. */
const COALESCE_MS = 20;
const TURN_MS = 60_000;

export class WebhookLoop {
  readonly #ports: () => Ports;
  #timer: NodeJS.Timeout | undefined;
  #turning: Promise<void> | undefined;
  #woken = false;
  #stopped = true;

  constructor(ports: () => Ports) {
    this.#ports = ports;
  }

  start(): void {
    this.#stopped = false;
    this.#arm(0);
  }

  /** What is being sent now is waited for: its end would be known to nobody otherwise, and it would be sent again. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#turning;
  }

  /** There is something to send. */
  wake(): void {
    this.#woken = true;
    if (this.#turning === undefined) this.#arm(COALESCE_MS);
  }

  #arm(waitMs: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#woken = false;
      this.#turning = sendDue(this.#ports(), { budgetMs: TURN_MS })
        .then(({ leftOver }) => leftOver)
        .catch((error: unknown) => {
          this.#ports().log.error('webhooks.turn_failed', { error: String(error) });
          return false;
        })
        .then((more) => {
          this.#turning = undefined;
          this.#arm(more || this.#woken ? COALESCE_MS : IDLE_MS);
        });
    }, waitMs);
  }
}
