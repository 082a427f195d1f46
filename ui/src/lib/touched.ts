// What an event says has changed.
// Reads nothing from the server.
import type { Step, StreamEvent } from './types';

/** What must be read again. */
export interface Touched {
  /** Apps whose definition, counts or tasks may be others now. */
  apps: string[];
  /** Whether deployments began, moved on or ended. */
  deployments: boolean;
  /** Whether groups may have come or gone. */
  groups: boolean;
  /** Whether the connection with the master is another. */
  scheduler: boolean;
}

const text = (value: unknown): string[] => (typeof value === 'string' ? [value] : []);

/** Looks into an event. */
export function touched(event: StreamEvent): Touched {
  const type = event.eventType;
  const definition = event['appDefinition'] as { id?: unknown } | undefined;
  const plan = event['plan'] as { steps?: Step[] } | undefined;
  const planned = (plan?.steps ?? []).flatMap((step) => step.actions.flatMap((action) => text(action.app)));
  const apps = [...text(event['appId']), ...text(event['runSpecId']), ...text(definition?.id), ...planned];
  return {
    apps: [...new Set(apps)],
    deployments: type.startsWith('deployment_'),
    groups: type === 'group_change_success' || type === 'app_terminated_event',
    scheduler: type.startsWith('scheduler_'),
  };
}
