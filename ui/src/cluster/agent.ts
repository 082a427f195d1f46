// Where an agent is reached.
// Asks it nothing.

/** An agent as /slaves lists it. */
export interface AgentOfState {
  id: string;
  hostname: string;
  /** Such as `slave(1)@10.0.0.1:5051`. */
  pid: string;
}

/** Its address for browsers; none when its pid is of another form. */
export function agentUrl(agent: AgentOfState): string | undefined {
  const found = /@(.+):(\d+)$/.exec(agent.pid);
  if (!found) return undefined;
  const host = found[1]?.includes(':') && !found[1].startsWith('[') ? `[${found[1]}]` : found[1];
  return `http://${host}:${found[2]}`;
}
