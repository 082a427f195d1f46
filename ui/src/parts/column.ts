// A column of a table, as its head shows it.
// Shows nothing itself.

export interface Column {
  name: string;
  /** Of the grid, such as `2fr` or `90px`. */
  width: string;
  isNumber?: boolean;
  /** Sorts by this column when given. */
  sort?: () => void;
  sorted?: 'ascending' | 'descending' | undefined;
  /** Not shown on a phone. */
  isExtra?: boolean;
}
