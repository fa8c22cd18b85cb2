// Matrix products of transformed tiles: a part of convolution.c.

// A block of a product is as high and as wide as the registers allow.
#define BLOCK_ROWS 6
#define BLOCK_VECTORS (LANES == 16 ? 4 : 2)
#define BLOCK_COLUMNS (BLOCK_VECTORS * LANES)
#define LOOK_AHEAD (BLOCK_COLUMNS > PANEL ? BLOCK_COLUMNS : PANEL)  // columns ahead of the computed ones that are fetched

// Entry (i, k) of a left matrix is values[i * row + k * column].
typedef struct { const float *values; long row, column; } left_matrix;
// The columns of a panel matrix are divided into panels of PANEL columns: entry (i, j) is
// values[i * row + j / PANEL * panel + j % PANEL].
typedef struct { float *values; long row, panel; } panel_matrix;
// What to fetch into a cache during a product: `step` floats in each of its steps, beginning at `from`. Some are fetched
// twice. The fetches are spread over the steps: many at once would stall the product.
typedef struct { const float *from; long step; } prefetch;

// The address of the vector that begins at column LANES * j.
static inline float *at(panel_matrix x, long i, long j) {
    return x.values + i * x.row + j * LANES / PANEL * x.panel + j * LANES % PANEL;
}

// Computes a block of a product, `rows` high and `vectors` vectors wide:
//     result(i, j) (= or, with `add`, +=) sum over the steps k of a(i, k) b(k, j)
static inline __attribute__((always_inline)) void multiply_block(
    left_matrix a, panel_matrix b, long steps, panel_matrix result, const int rows, const int vectors, const int add,
    prefetch first_level, prefetch second_level
) {
    vec sums[BLOCK_ROWS][BLOCK_VECTORS], right[BLOCK_VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int j = 0; j < vectors; j++) sums[i][j] = add ? load(at(result, i, j)) : (vec){0};
    for (long k = 0; k < steps; k++) {
        __builtin_prefetch(first_level.from + k * first_level.step, 0, 3);
        __builtin_prefetch(second_level.from + k * second_level.step, 0, 2);
#pragma GCC unroll 8
        for (int j = 0; j < vectors; j++) right[j] = load(at(b, k, j));
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            // Broadcasts; adding 0 instead would turn -0 into +0.
            vec left = a.values[i * a.row + k * a.column] - (vec){0};
#pragma GCC unroll 8
            for (int j = 0; j < vectors; j++) sums[i][j] += left * right[j];
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int j = 0; j < vectors; j++) store(at(result, i, j), sums[i][j]);
}

// Computes `vectors` vectors of columns of the product of a (tiles, channels) and b (channels, columns). Meanwhile it
// fetches the next block of `a` (after the last block: `next_a`), and from `later` as many columns as it computes.
static inline __attribute__((always_inline)) void multiply_columns(
    const float *a, const float *next_a, long tiles, long channels, panel_matrix b, const float *later,
    const int vectors, panel_matrix result
) {
    long blocks = (tiles + BLOCK_ROWS - 1) / BLOCK_ROWS, columns = vectors * LANES;
    prefetch later_b = {later, (columns + blocks - 1) / blocks};
    for (long tile = 0; tile < tiles; tile += BLOCK_ROWS) {
        // The last block overlaps the one before it: blocks of full height are faster.
        long first = min(tile, tiles - BLOCK_ROWS), next = tile + BLOCK_ROWS;
        left_matrix block = {a + first * channels, channels, 1};
        prefetch next_block = {next < tiles ? a + next * channels : next_a, BLOCK_ROWS};
        panel_matrix block_result = {result.values + first * result.row, result.row, result.panel};
        multiply_block(block, b, channels, block_result, BLOCK_ROWS, vectors, 0, next_block, later_b);
        later_b.from += channels * later_b.step;
    }
}

// Multiplies the transformed input of some tiles, 64 matrices (tiles, channels) that lie `stride` floats apart, by the
// transformed filter, 64 matrices (out_channels / PANEL, channels, PANEL). The results are 64 matrices (tiles,
// out_channels). Each replaces the transformed input of the matrix before it, so that all stay in a cache: `matrices` is
// the address of the first result, `matrices + stride` that of the first input. With fewer
// than BLOCK_ROWS tiles it computes BLOCK_ROWS rows; the further rows hold any values and are not used.
static void multiply(
    float *matrices, long stride, long tiles, long channels, float *filter, long out_channels
) {
    if (tiles < BLOCK_ROWS) tiles = BLOCK_ROWS;
    for (int index = 0; index < 64; index++, matrices += stride, filter += channels * out_channels) {
        const float *a = matrices + stride, *next_a = a + stride, *later = filter + channels * LOOK_AHEAD;
        for (long k = 0; k < out_channels; k += BLOCK_COLUMNS, later += channels * BLOCK_COLUMNS) {
            panel_matrix b = {filter + channel_offset(k, channels * PANEL), PANEL, channels * PANEL};
            panel_matrix result = {matrices + k, out_channels, PANEL};
            if (k + BLOCK_COLUMNS <= out_channels)
                multiply_columns(a, next_a, tiles, channels, b, later, BLOCK_VECTORS, result);
            else
                multiply_columns(a, next_a, tiles, channels, b, later, BLOCK_VECTORS / 2, result);
        }
    }
}

// Computes `vectors` vectors of columns of aᵀ b, for a (tiles, PANEL) and b (tiles, columns); adds them to `gradient` if
// asked to. Meanwhile it fetches the next block of `gradient`.
static inline __attribute__((always_inline)) void multiply_transposed_columns(
    const float *a, panel_matrix b, long tiles, panel_matrix gradient, const int vectors, const int add
) {
    long step = (BLOCK_ROWS * PANEL + tiles - 1) / tiles;
    for (long c = 0; c < PANEL; c += BLOCK_ROWS) {
        left_matrix block = {a + c, 1, PANEL};
        float *next = gradient.values + BLOCK_ROWS * PANEL;
        prefetch next_left = {next, step}, next_right = {next + gradient.panel, step};
        if (c + BLOCK_ROWS <= PANEL)
            multiply_block(block, b, tiles, gradient, BLOCK_ROWS, vectors, add, next_left, next_right);
        else
            multiply_block(block, b, tiles, gradient, PANEL % BLOCK_ROWS, vectors, add, next_left, next_right);
        gradient.values = next;
    }
}

// Computes aᵀ b for a (channels / PANEL, tiles, PANEL) and b (out_channels / PANEL, tiles, PANEL), whose panels lie
// `panel_stride` floats apart. The result is (out_channels / PANEL, channels, PANEL). Adds it to `gradient` if asked to.
static inline __attribute__((always_inline)) void multiply_transposed(
    const float *a, long channels, float *b, long out_channels, long tiles, long panel_stride, float *gradient,
    const int add
) {
    for (long k = 0; k < out_channels; k += BLOCK_COLUMNS)
        for (long c = 0; c < channels; c += PANEL) {
            const float *left = a + channel_offset(c, panel_stride);
            panel_matrix right = {b + channel_offset(k, panel_stride), PANEL, panel_stride};
            panel_matrix result = {gradient + channel_offset(k, channels * PANEL) + c * PANEL, PANEL, channels * PANEL};
            if (k + BLOCK_COLUMNS <= out_channels)
                multiply_transposed_columns(left, right, tiles, result, BLOCK_VECTORS, add);
            else
                multiply_transposed_columns(left, right, tiles, result, BLOCK_VECTORS / 2, add);
        }
}
