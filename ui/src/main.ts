// Starts the pages: asks the server which face it has, and shows that one.
// Holds nothing of either.
import './app.css';
import { mount } from 'svelte';
import { ask } from './lib/api';
import { theme } from './lib/theme.svelte';
import type { Face } from './lib/types';
import Unreachable from './parts/Unreachable.svelte';

const target = document.getElementById('app');

async function start(target: HTMLElement): Promise<void> {
  theme.restore();
  let face: Face;
  try {
    face = await ask<Face>('ui/face.json');
  } catch (error) {
    mount(Unreachable, { target, props: { error } });
    return;
  }
  if (face.face === 'cluster') {
    const { default: Cluster } = await import('./cluster/Cluster.svelte');
    mount(Cluster, { target, props: { face } });
  } else if (face.face === 'agent') {
    const { default: Agent } = await import('./agent/Agent.svelte');
    mount(Agent, { target, props: { face } });
  } else {
    const { default: Apps } = await import('./apps/Apps.svelte');
    mount(Apps, { target, props: { version: face.version } });
  }
}

if (target) void start(target);
