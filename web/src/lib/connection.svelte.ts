import { api, watchReachability } from './api/client';
import { poll } from './clock.svelte';

/** Whether the backend answers; the last thing any request saw. */
class Connection {
  reachable = $state(true);

  constructor() {
    watchReachability((reachable) => (this.reachable = reachable));
  }

  /** Asks while nothing else does, so that a page without live refresh notices both ends of an outage. */
  watch(): () => void {
    return poll(async (signal) => {
      await api.status(signal);
    }, 3000);
  }
}

export const connection = new Connection();
