// The functions of transforms.py in C. The transforms use a few additions per value instead of matrix products, and
// read and write pixels in place instead of copying tiles; the matrix products do not copy their operands either.
// An image is (height, width, channels); transformed tiles are 64 matrices (tiles, channels). The number of channels is
// a multiple of 32. A call processes a strip: the rows of tiles from row `first` on. Loops run on the threads of the
// OpenMP library that PyTorch has loaded.

#define LANES (__BIGGEST_ALIGNMENT__ / 4)  // floats in a vector register of this processor: 16, 8 or 4
_Static_assert(16 % LANES == 0, "a multiple of 32 channels must be a multiple of two vectors");
typedef float vec __attribute__((vector_size(__BIGGEST_ALIGNMENT__), aligned(4), may_alias));
typedef int mask __attribute__((vector_size(__BIGGEST_ALIGNMENT__), aligned(4)));
typedef struct { float *values; long height, width, channels; } image;
typedef struct { float *values; long stride, rows, columns; } matrices;  // 64; `stride` values from one to the next

static inline vec load(const float *from) { return *(const vec *)from; }
static inline void store(float *to, vec x) { *(vec *)to = x; }
// y where ReLU passes x, 0 where x <= 0. ReLU passes a NaN.
static inline vec relu_gate(vec x, vec y) { return (vec)((mask)y & ~(x <= (vec){0})); }
static inline long tile_columns(image x) { return (x.width + 5) / 6; }

// The transforms along one axis. Names as in Lavin and Gray: d: pixels of an input tile, t = Bᵀd: transformed input,
// m: product, y = Aᵀm: pixels of an output tile. The functions ending in _backward compute Bt and Ay.

static inline void input_1d(const vec d[8], vec t[8]) {
    vec a = d[2] + d[6] - 4.25f * d[4], b = d[1] + d[5] - 4.25f * d[3];
    vec e = 0.25f * d[2] - 1.25f * d[4] + d[6], f = 0.5f * d[1] - 2.5f * d[3] + 2 * d[5];
    vec g = 4 * d[2] - 5 * d[4] + d[6], h = 2 * d[1] - 2.5f * d[3] + 0.5f * d[5];
    t[0] = d[0] - d[6] + 5.25f * (d[4] - d[2]);
    t[1] = a + b;
    t[2] = a - b;
    t[3] = e + f;
    t[4] = e - f;
    t[5] = g + h;
    t[6] = g - h;
    t[7] = d[7] - d[1] + 5.25f * (d[3] - d[5]);
}

static inline void input_1d_backward(const vec t[8], vec d[8]) {
    vec a = t[1] + t[2], b = t[1] - t[2], e = t[3] + t[4], f = t[3] - t[4];
    vec g = t[5] + t[6], h = t[5] - t[6];
    d[0] = t[0];
    d[1] = b + 0.5f * f + 2 * h - t[7];
    d[2] = a + 0.25f * e + 4 * g - 5.25f * t[0];
    d[3] = 5.25f * t[7] - 4.25f * b - 2.5f * (f + h);
    d[4] = 5.25f * t[0] - 4.25f * a - 1.25f * e - 5 * g;
    d[5] = b + 2 * f + 0.5f * h - 5.25f * t[7];
    d[6] = a + e + g - t[0];
    d[7] = t[7];
}

static inline void output_1d(const vec m[8], vec y[6]) {
    vec a = m[1] + m[2], b = m[1] - m[2], e = m[3] + m[4], f = 2 * (m[3] - m[4]);
    vec g = m[5] + m[6], h = 0.5f * (m[5] - m[6]);
    y[0] = m[0] + a + e + g;
    y[1] = b + f + h;
    y[2] = a + 4 * e + 0.25f * g;
    y[3] = b + 4 * f + 0.25f * h;
    y[4] = a + 16 * e + 0.0625f * g;
    y[5] = b + 16 * f + 0.0625f * h + m[7];
}

static inline void output_1d_backward(const vec y[6], vec m[8]) {
    vec a = y[0] + y[2] + y[4], b = y[1] + y[3] + y[5];
    vec e = y[0] + 4 * y[2] + 16 * y[4], f = 2 * (y[1] + 4 * y[3] + 16 * y[5]);
    vec g = y[0] + 0.25f * y[2] + 0.0625f * y[4], h = 0.5f * (y[1] + 0.25f * y[3] + 0.0625f * y[5]);
    m[0] = y[0];
    m[1] = a + b;
    m[2] = a - b;
    m[3] = e + f;
    m[4] = e - f;
    m[5] = g + h;
    m[6] = g - h;
    m[7] = y[5];
}

// Sets the pointers to the channels of each pixel of a tile of size×size pixels whose first pixel is (top, left).
// Pixels outside of the image point to `outside`, which is filled with zeros.
static inline void locate_pixels(float *pixels[], int size, image x, long top, long left, float *outside) {
    for (long c = 0; c < x.channels; c++) outside[c] = 0;
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            long row = top + i, column = left + j;
            int inside = 0 <= row && row < x.height && 0 <= column && column < x.width;
            pixels[size * i + j] = inside ? x.values + (row * x.width + column) * x.channels : outside;
        }
}

// The row of the matrix `index`, 0 to 63, that belongs to a tile.
static inline float *matrix_row(matrices m, int index, long tile) {
    return m.values + index * m.stride + tile * m.columns;
}

void input_transform(image x, long first, matrices transformed_input) {
    long columns = tile_columns(x);
#pragma omp parallel for
    for (long tile = 0; tile < transformed_input.rows; tile++) {
        float *pixels[64], outside[x.channels];
        locate_pixels(pixels, 8, x, 6 * (first + tile / columns) - 1, 6 * (tile % columns) - 1, outside);
        for (long c = 0; c < x.channels; c += LANES) {
            vec d[8], t[8], half[8][8];  // half: transformed along the rows, not yet along the columns
            for (int i = 0; i < 8; i++) {
                for (int j = 0; j < 8; j++) d[j] = load(pixels[8 * i + j] + c);
                input_1d(d, t);
                for (int j = 0; j < 8; j++) half[j][i] = t[j];
            }
            for (int j = 0; j < 8; j++) {
                input_1d(half[j], t);
                for (int i = 0; i < 8; i++) store(matrix_row(transformed_input, 8 * i + j, tile) + c, t[i]);
            }
        }
    }
}

void output_transform(matrices product, const float *bias, image output, long first) {
    long columns = tile_columns(output);
#pragma omp parallel for
    for (long tile = 0; tile < product.rows; tile++) {
        float *pixels[36], outside[output.channels];
        locate_pixels(pixels, 6, output, 6 * (first + tile / columns), 6 * (tile % columns), outside);
        for (long c = 0; c < output.channels; c += LANES) {
            vec m[8], y[6], half[6][8];
            for (int i = 0; i < 8; i++) {
                for (int j = 0; j < 8; j++) m[j] = load(matrix_row(product, 8 * i + j, tile) + c);
                output_1d(m, y);
                for (int j = 0; j < 6; j++) half[j][i] = y[j];
            }
            for (int j = 0; j < 6; j++) {
                output_1d(half[j], y);
                for (int i = 0; i < 6; i++) {
                    vec sum = y[i] + load(bias + c);
                    store(pixels[6 * i + j] + c, relu_gate(sum, sum));
                }
            }
        }
    }
}

void output_transform_backward(const float *grad_output, image output, long first, matrices grad_product) {
    long columns = tile_columns(output);
    image gradient = {(float *)grad_output, output.height, output.width, output.channels};
#pragma omp parallel for
    for (long tile = 0; tile < grad_product.rows; tile++) {
        float *grad_pixels[36], *pixels[36], outside[output.channels];
        long top = 6 * (first + tile / columns), left = 6 * (tile % columns);
        locate_pixels(grad_pixels, 6, gradient, top, left, outside);
        locate_pixels(pixels, 6, output, top, left, outside);
        for (long c = 0; c < output.channels; c += LANES) {
            vec y[6], m[8], half[8][6];
            for (int i = 0; i < 6; i++) {
                for (int j = 0; j < 6; j++) {
                    int k = 6 * i + j;
                    y[j] = relu_gate(load(pixels[k] + c), load(grad_pixels[k] + c));
                }
                output_1d_backward(y, m);
                for (int j = 0; j < 8; j++) half[j][i] = m[j];
            }
            for (int j = 0; j < 8; j++) {
                output_1d_backward(half[j], m);
                for (int i = 0; i < 8; i++) store(matrix_row(grad_product, 8 * i + j, tile) + c, m[i]);
            }
        }
    }
}

void input_transform_backward(matrices grad_transformed_input, image grad_image, long first) {
    long columns = tile_columns(grad_image), rows = grad_transformed_input.rows / columns;
    // Input tiles of neighbouring rows overlap: first the even rows, then the odd ones, so that no two threads add to
    // the same pixel.
    for (int odd = 0; odd < 2; odd++)
#pragma omp parallel for
        for (long row = odd; row < rows; row += 2)
            for (long column = 0; column < columns; column++) {
                float *pixels[64], outside[grad_image.channels];
                long tile = row * columns + column;
                locate_pixels(pixels, 8, grad_image, 6 * (first + row) - 1, 6 * column - 1, outside);
                for (long c = 0; c < grad_image.channels; c += LANES) {
                    vec t[8], d[8], half[8][8];
                    for (int i = 0; i < 8; i++) {
                        for (int j = 0; j < 8; j++)
                            t[j] = load(matrix_row(grad_transformed_input, 8 * i + j, tile) + c);
                        input_1d_backward(t, d);
                        for (int j = 0; j < 8; j++) half[j][i] = d[j];
                    }
                    for (int j = 0; j < 8; j++) {
                        input_1d_backward(half[j], d);
                        for (int i = 0; i < 8; i++) {
                            float *pixel = pixels[8 * i + j] + c;
                            store(pixel, load(pixel) + d[i]);
                        }
                    }
                }
            }
}

// The matrix products. The operands of the next of the 64 products are not in the cache yet: they are prefetched while
// the current one is computed, a part per block.

#define PANEL 16  // output channels side by side in the transformed filter, (64, output channels / 16, channels, 16)
#define BLOCK_COLUMNS (2 * LANES)  // a block of the result is two vectors wide and as high as the registers allow
#define BLOCK_ROWS (LANES == 16 ? 12 : 6)  // of `multiply`
#define GRADIENT_BLOCK_ROWS (LANES == 16 ? 8 : 6)  // of `filter_gradient`: 8 divides the channels; 6 leaves 2 or 4 over

// Prefetches part number `part` of `parts` of the `size` floats from `next` on.
static inline void prefetch_part(const float *next, long size, long part, long parts) {
    for (long i = size * part / parts; i < size * (part + 1) / parts; i += 16) __builtin_prefetch(next + i, 0, 2);
}

// Computes a block of a matrix product, `rows` high and two vectors wide:
//     result[i * result_stride + j] (= or, with `add`, +=) Σ_k a[i * a_row + k * a_step] * b[k * b_step + j],
// where the second vector of row k of b begins at b[k * b_step + second]. `multiply` sums over the channels: these lie
// side by side in a (a_step 1), and in b one panel row apart. `filter_gradient` sums over the tiles, one matrix row
// apart in both a and b; its channels lie side by side in a (a_row 1).
static inline __attribute__((always_inline)) void multiply_block(
    const float *a, long a_row, long a_step, const float *b, long b_step, long second, long steps, float *result,
    long result_stride, const int rows, const int add
) {
    vec sums[BLOCK_ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < 2; j++) sums[i][j] = add ? load(result + i * result_stride + j * LANES) : (vec){0};
    for (long k = 0; k < steps; k++) {
        vec left = load(b + k * b_step), right = load(b + k * b_step + second);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            vec x = a[i * a_row + k * a_step] - (vec){0};  // broadcasts; adding 0 instead would turn -0 into +0
            sums[i][0] += x * left;
            sums[i][1] += x * right;
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < 2; j++) store(result + i * result_stride + j * LANES, sums[i][j]);
}

void multiply(matrices transformed_input, const float *transformed_filter, matrices product) {
    long tiles = product.rows, in_channels = transformed_input.columns, out_channels = product.columns;
    long parts = (tiles + BLOCK_ROWS - 1) / BLOCK_ROWS * (out_channels / BLOCK_COLUMNS);
    long second = BLOCK_COLUMNS > PANEL ? PANEL * in_channels : LANES;
#pragma omp parallel for
    for (int index = 0; index < 64; index++) {
        const float *a = matrix_row(transformed_input, index, 0);
        const float *b = transformed_filter + index * in_channels * out_channels;
        long part = 0;
        for (long k = 0; k < out_channels; k += BLOCK_COLUMNS) {
            const float *panel = b + k / PANEL * PANEL * in_channels + k % PANEL;
            for (long tile = 0; tile < tiles; tile += BLOCK_ROWS, part++) {
                if (index < 63) {
                    prefetch_part(a + transformed_input.stride, tiles * in_channels, part, parts);
                    prefetch_part(b + in_channels * out_channels, in_channels * out_channels, part, parts);
                }
                if (tiles < BLOCK_ROWS)
                    for (long i = 0; i < tiles; i++) {
                        float *result = matrix_row(product, index, i) + k;
                        multiply_block(
                            a + i * in_channels, in_channels, 1, panel, PANEL, second, in_channels, result,
                            out_channels, 1, 0
                        );
                    }
                else {  // the last block overlaps the one before it: blocks of full height are faster
                    long top = tile + BLOCK_ROWS <= tiles ? tile : tiles - BLOCK_ROWS;
                    float *result = matrix_row(product, index, top) + k;
                    multiply_block(
                        a + top * in_channels, in_channels, 1, panel, PANEL, second, in_channels, result, out_channels,
                        BLOCK_ROWS, 0
                    );
                }
            }
        }
    }
}

void filter_gradient(matrices transformed_input, matrices grad_product, float *grad_transformed_filter) {
    long tiles = transformed_input.rows, in_channels = transformed_input.columns, out_channels = grad_product.columns;
    long parts = (in_channels + GRADIENT_BLOCK_ROWS - 1) / GRADIENT_BLOCK_ROWS * (out_channels / BLOCK_COLUMNS);
#pragma omp parallel for
    for (int index = 0; index < 64; index++) {
        const float *a = matrix_row(transformed_input, index, 0), *b = matrix_row(grad_product, index, 0);
        float *gradient = grad_transformed_filter + index * in_channels * out_channels;
        long part = 0;
        for (long k = 0; k < out_channels; k += BLOCK_COLUMNS)
            for (long c = 0; c < in_channels; c += GRADIENT_BLOCK_ROWS, part++) {
                if (index < 63) {
                    prefetch_part(a + transformed_input.stride, tiles * in_channels, part, parts);
                    prefetch_part(b + grad_product.stride, tiles * out_channels, part, parts);
                    prefetch_part(gradient + in_channels * out_channels, in_channels * out_channels, part, parts);
                }
                float *result = gradient + c * out_channels + k;
                if (c + GRADIENT_BLOCK_ROWS <= in_channels)
                    multiply_block(
                        a + c, 1, in_channels, b + k, out_channels, LANES, tiles, result, out_channels,
                        GRADIENT_BLOCK_ROWS, 1
                    );
                else  // an even number of channels is left over
                    for (long i = 0; c + i < in_channels; i += 2)
                        multiply_block(
                            a + c + i, 1, in_channels, b + k, out_channels, LANES, tiles, result + i * out_channels,
                            out_channels, 2, 1
                        );
            }
    }
}
