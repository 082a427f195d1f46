// Messages that come and go, and questions that the user must answer first.
// Draws neither; `Notices.svelte` and `Question.svelte` do.
import { ApiError, words } from './api';

export interface Notice {
  id: number;
  kind: 'done' | 'error';
  text: string;
  details: string[];
}

/** A question with two answers, and perhaps a number to give. */
export interface Question {
  title: string;
  text: string;
  /** What the button says that does it. */
  yes: string;
  isDangerous?: boolean;
  number?: { label: string; value: number };
  resolve: (answer: { number: number } | undefined) => void;
}

/** Time that a message of success is shown, in milliseconds. */
const SHOWN_MS = 4000;

/** The server's words tell how to force it by the API; whoever reads this has a button. */
function inTheWay(error: ApiError): string {
  if (error.deployments.length === 0) return error.message;
  return `What is to be changed is being changed already, by deployment ${error.deployments.join(', ')}.`;
}

class Notices {
  all = $state.raw<Notice[]>([]);
  question = $state.raw<Question | undefined>(undefined);
  #next = 1;

  done(text: string): void {
    const id = this.#add({ kind: 'done', text, details: [] });
    setTimeout(() => this.drop(id), SHOWN_MS);
  }

  failed(text: string, error: unknown): void {
    const details = error instanceof ApiError ? error.details : [];
    const shown = details.map((detail) => `${detail.path}: ${detail.errors.join(', ')}`);
    this.#add({ kind: 'error', text: `${text}: ${words(error)}`, details: shown });
  }

  drop(id: number): void {
    this.all = this.all.filter((notice) => notice.id !== id);
  }

  /** Asks; gives nothing when the user would rather not. */
  ask(question: Omit<Question, 'resolve'>): Promise<{ number: number } | undefined> {
    return new Promise((resolve) => {
      this.question = {
        ...question,
        resolve: (answer) => {
          this.question = undefined;
          resolve(answer);
        },
      };
    });
  }

  /** Does something that the server may refuse since a deployment is in the way; then asks whether to force it. */
  async act(text: string, call: (force: boolean) => Promise<unknown>): Promise<boolean> {
    try {
      await call(false);
    } catch (error) {
      if (!(error instanceof ApiError && error.isLocked)) {
        this.failed(`${text} failed`, error);
        return false;
      }
      const answer = await this.ask({
        title: 'A deployment is in the way',
        text: `${inTheWay(error)} Forcing this cancels what is in the way where it stands.`,
        yes: 'Force it',
        isDangerous: true,
      });
      return answer !== undefined && this.act(text, () => call(true));
    }
    this.done(`${text}: accepted`);
    return true;
  }

  #add(notice: Omit<Notice, 'id'>): number {
    const id = this.#next;
    this.#next += 1;
    this.all = [...this.all.slice(-4), { id, ...notice }];
    return id;
  }
}

export const notices = new Notices();
