// Settings of the Svelte compiler.
// Preprocesses nothing but the types of scripts.
import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

export default { preprocess: vitePreprocess(), compilerOptions: { runes: true } };
