/* Sudoku by backtracking: always the cell with the fewest candidates. The peer of bench exact. */

static int rows[9], columns[9], boxes[9]; /* bits of the digits in use */

static int place(char *grid)
{
    int best = -1, least = 10, free_digits = 0;
    for (int cell = 0; cell < 81; cell++) {
        if (grid[cell]) continue;
        int row = cell / 9, column = cell % 9, box = row / 3 * 3 + column / 3;
        int open = 0x1ff & ~(rows[row] | columns[column] | boxes[box]);
        int count = __builtin_popcount(open);
        if (count < least) best = cell, least = count, free_digits = open;
    }
    if (best < 0) return 1;
    int row = best / 9, column = best % 9, box = row / 3 * 3 + column / 3;
    for (; free_digits; free_digits &= free_digits - 1) {
        int bit = free_digits & -free_digits;
        rows[row] |= bit, columns[column] |= bit, boxes[box] |= bit;
        grid[best] = 1 + __builtin_ctz(bit);
        if (place(grid)) return 1;
        rows[row] ^= bit, columns[column] ^= bit, boxes[box] ^= bit;
    }
    grid[best] = 0;
    return 0;
}

/* Fills 81 bytes, 0 where blank, in place; returns whether there is a solution. */
int solve(char *grid)
{
    for (int unit = 0; unit < 9; unit++) rows[unit] = columns[unit] = boxes[unit] = 0;
    for (int cell = 0; cell < 81; cell++)
        if (grid[cell]) {
            int bit = 1 << (grid[cell] - 1), row = cell / 9, column = cell % 9;
            rows[row] |= bit, columns[column] |= bit, boxes[row / 3 * 3 + column / 3] |= bit;
        }
    return place(grid);
}
