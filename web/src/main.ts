import { mount } from 'svelte';

import './app.css';
import App from './App.svelte';
import { router } from './lib/router.svelte';
import { startShortcuts } from './lib/shortcuts';

router.start();
startShortcuts();
mount(App, { target: document.body });
