// Dark or light: as the system has it, or as the user has chosen.
// Holds no colours; app.css does.

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const KEY = 'tepui-theme';

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return THEMES.find((theme) => theme === value) ?? 'system';
  } catch {
    return 'system';
  }
}

class ThemeChoice {
  value = $state<Theme>('system');

  /** Shows what was chosen before. */
  restore(): void {
    this.choose(stored());
  }

  choose(theme: Theme): void {
    this.value = theme;
    if (theme === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Without storage the choice holds until the page is left.
    }
  }

  /** The next of the three. */
  turn(): void {
    this.choose(THEMES[(THEMES.indexOf(this.value) + 1) % THEMES.length] ?? 'system');
  }
}

export const theme = new ThemeChoice();
