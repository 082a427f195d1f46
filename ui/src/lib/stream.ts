// The stream of events: listens to it, and says when what is shown must be read anew.
// Keeps no event.
import { address } from './api';
import type { StreamEvent } from './types';

/** How the stream is doing. */
export type Health = 'connecting' | 'live' | 'broken';

/** What a listener is told. */
export interface Listener {
  event(event: StreamEvent): void;
  /** Events may have been missed: all that is shown must be read again. */
  lost(): void;
  health(health: Health): void;
}

/** Time until a stream is opened again that the browser has given up, in milliseconds. */
const RETRY_MS = 3000;

/** The names of all events; a browser hands on only those that are named. */
export const EVENT_TYPES = [
  'api_post_event',
  'app_terminated_event',
  'add_health_check_event',
  'deployment_failed',
  'deployment_info',
  'deployment_step_failure',
  'deployment_step_success',
  'deployment_success',
  'event_stream_attached',
  'event_stream_detached',
  'event_stream_gap',
  'failed_health_check_event',
  'framework_message_event',
  'group_change_failed',
  'group_change_success',
  'health_status_changed_event',
  'instance_changed_event',
  'instance_health_changed_event',
  'pod_created_event',
  'pod_deleted_event',
  'pod_updated_event',
  'remove_health_check_event',
  'scheduler_disconnected_event',
  'scheduler_registered_event',
  'scheduler_reregistered_event',
  'status_update_event',
  'unhealthy_instance_kill_event',
  'unknown_instance_terminated_event',
];

/** Tells that events were dropped before they were read. */
export const GAP = 'event_stream_gap';

/** Listens until the function that is given back is called. */
export function listen(listener: Listener, open = (url: string) => new EventSource(url)): () => void {
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wasOpen = false;
  const take = (message: MessageEvent<string>): void => {
    let event: StreamEvent;
    try {
      event = JSON.parse(message.data) as StreamEvent;
    } catch {
      listener.lost();
      return;
    }
    listener.event(event);
    if (event.eventType === GAP) listener.lost();
  };
  const start = (): void => {
    listener.health('connecting');
    // Whoever does not lead passes the events on: a page may not read them from the leader itself.
    source = open(address('v2/events?passOn=true'));
    source.onopen = () => {
      listener.health('live');
      // A new leader counts its events anew, so it cannot be known whether any were missed.
      if (wasOpen) listener.lost();
      wasOpen = true;
    };
    source.onerror = () => {
      listener.health('broken');
      if (source?.readyState === EventSource.CLOSED) {
        source.close();
        timer = setTimeout(start, RETRY_MS);
      }
    };
    for (const name of EVENT_TYPES) source.addEventListener(name, take as (event: Event) => void);
  };
  start();
  return () => {
    clearTimeout(timer);
    source?.close();
  };
}
