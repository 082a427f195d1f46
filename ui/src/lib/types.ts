// What the servers' answers hold, as far as the pages show it.
// Checks nothing; members that are not named here are passed over.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** The definition of an app, with members this page need not know. */
export interface Definition {
  id: string;
  cmd?: string | null;
  args?: string[];
  cpus?: number;
  mem?: number;
  disk?: number;
  gpus?: number;
  instances?: number;
  labels?: Record<string, string>;
  env?: Record<string, unknown>;
  healthChecks?: unknown[];
  version?: string;
  [name: string]: unknown;
}

export interface Counts {
  tasksStaged: number;
  tasksRunning: number;
  tasksHealthy: number;
  tasksUnhealthy: number;
}

export interface HealthResult {
  alive: boolean;
  consecutiveFailures: number;
  lastFailureCause?: string;
  lastFailure?: string;
  lastSuccess?: string;
}

export interface Task {
  id: string;
  appId: string;
  host: string;
  ports: number[];
  slaveId: string;
  state: string;
  stagedAt?: string;
  startedAt?: string;
  version: string;
  zone?: string;
  region?: string;
  healthCheckResults?: HealthResult[];
}

export interface Failure {
  host: string;
  message: string;
  state: string;
  taskId: string;
  timestamp: string;
  version: string;
  slaveId?: string;
}

/** An app as lists show it. */
export interface ListedApp extends Definition, Counts {
  deployments: { id: string }[];
}

/** An app as its own page shows it. */
export interface ShownApp extends ListedApp {
  tasks: Task[];
  lastTaskFailure?: Failure;
}

export interface Action {
  action: string;
  app?: string;
  pod?: string;
}

export interface Step {
  actions: Action[];
}

/** Where new instances would go. */
export interface Placement {
  note?: string;
  apps: {
    id: string;
    hosts: { hostname: string; agentId: string; instances: number }[];
    unplaced: number;
    reasons?: { reason: string; offers: number; example: string; unblock: string }[];
  }[];
}

export interface Deployment {
  id: string;
  version: string;
  affectedApps: string[];
  steps: Step[];
  currentActions: (Action & { readinessCheckResults?: { ready: boolean; taskId: string; name: string }[] })[];
  currentStep: number;
  totalSteps: number;
}

export interface QueueItem {
  count: number;
  since: string;
  delay: { timeLeftSeconds: number; overdue: boolean };
  app: { id: string };
}

export interface RejectStep {
  reason: string;
  declined: number;
  processed: number;
}

export interface Why {
  appId: string;
  cause: string;
  explanation: string[];
  unblock: string[];
  instances: number;
  waiting: number;
  delaySecondsLeft?: number;
  lastTaskFailure?: Failure;
  offers?: {
    processed: number;
    unused: number;
    reasons: RejectStep[];
    agents: {
      agentId: string;
      hostname: string;
      timestamp: string;
      reasons: string[];
      problems: { reason: string; text: string; unblock: string }[];
    }[];
  };
  deployments: { id: string; currentStep: number; totalSteps: number; isCurrent: boolean; isOverdue: boolean }[];
}

export interface Group {
  id: string;
  groups?: Group[];
}

export interface Info {
  version: string;
  elected: boolean;
  leader: string | null;
  frameworkId: string | null;
  marathon_config: { master?: string | null; mesos_leader_ui_url?: string | null };
}

/** An event of the stream. */
export interface StreamEvent {
  eventType: string;
  timestamp: string;
  [name: string]: unknown;
}

export type Face =
  | { face: 'apps'; version: string }
  | { face: 'cluster'; version: string; id: string; leader: string }
  | { face: 'agent'; version: string; id: string | null; hostname: string; master: string | null; registered: boolean };
