// A 3x3 convolution by Winograd's F(6x6, 3x3) (Lavin and Gray, CVPR 2016), and the gradient of its filter.
//
// Images are (count, height, width, channels), the number of channels a multiple of 32. Tiles of 6x6 output pixels are
// numbered through all images, row by row. Loops run on the threads of the OpenMP library that PyTorch has loaded. A
// layer is one parallel region: each thread takes a block of tiles whenever it is free, and computes it in buffers of
// its own. If the system takes a core away, the other threads go on with the remaining blocks. Each output value is
// always computed by the same operations in the same order, so results do not depend on the threads.

// Defined by compiled.py: BLOCK_TILES, the number of tiles that a thread computes at once; STRIP_TILES, the number of
// tiles between two synchronisations of the threads in the gradient of the filter; PANEL, the number of output channels
// that lie side by side in the transformed filter; and GAP, the number of floats between matrices.

#if __SSE__
#include <immintrin.h>
#endif

// The index, of 64, at which grad_product holds the sum of a tile of grad_y: column 1 of Aᵀ is all ones.
#define SUM_INDEX 9
#define TRANSFORM_TILES 8  // tiles that a thread transforms at once in the gradient of the filter
#define TRANSFORM_CHANNELS 64  // channels of a tile that a thread transforms at once
#define LANES (__BIGGEST_ALIGNMENT__ / 4)  // floats in a vector register of this processor: 16, 8 or 4
_Static_assert(16 % LANES == 0, "a multiple of 32 channels must be a multiple of two vectors");
typedef float vec __attribute__((vector_size(__BIGGEST_ALIGNMENT__), aligned(4), may_alias));
typedef int mask __attribute__((vector_size(__BIGGEST_ALIGNMENT__), aligned(4)));
typedef struct { float *values; long count, height, width, channels; } images;

int omp_get_thread_num(void);

static inline vec load(const float *from) { return *(const vec *)from; }
static inline void store(float *to, vec x) { *(vec *)to = x; }
// Stores a vector to an aligned address, past the caches where the processor can: the memory is then not read before it
// is written. For values that are read again only when the caches hold other data.
static inline void store_uncached(float *to, vec x) {
#if __AVX512F__
    _mm512_stream_ps(to, (__m512)x);
#elif __AVX__
    _mm256_stream_ps(to, (__m256)x);
#elif __SSE__
    _mm_stream_ps(to, (__m128)x);
#else
    store(to, x);
#endif
}
static inline void finish_uncached_stores(void) {
#if __SSE__
    _mm_sfence();
#endif
}
static inline long min(long a, long b) { return a < b ? a : b; }
// y where ReLU passes x, 0 where x <= 0. ReLU passes a NaN.
static inline vec relu_gate(vec x, vec y) { return (vec)((mask)y & ~(x <= (vec){0})); }

// The transforms along one axis. Names as in Lavin and Gray: d: pixels of an input tile, t = Bᵀd: transformed input,
// m: product, y = Aᵀm: pixels of an output tile. `output_1d_backward` computes Ay.

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


// Where the tiles lie.

static inline long tile_columns(images x) { return (x.width + 5) / 6; }
static inline long tiles_per_image(images x) { return (x.height + 5) / 6 * tile_columns(x); }
static inline long count_tiles(images x) { return x.count * tiles_per_image(x); }

// Sets the offsets of the pixels of a square of size*size pixels, which begins `margin` pixels above and left of output
// tile number `tile`. Pixels outside of the image get -1.
static inline void locate_pixels(long offsets[], int size, int margin, images x, long tile) {
    long columns = tile_columns(x), image = tile / tiles_per_image(x), number = tile % tiles_per_image(x);
    long top = 6 * (number / columns) - margin, left = 6 * (number % columns) - margin;
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            long row = top + i, column = left + j;
            int inside = 0 <= row && row < x.height && 0 <= column && column < x.width;
            offsets[size * i + j] = inside ? ((image * x.height + row) * x.width + column) * x.channels : -1;
        }
}

// A vector of a pixel, or zeros outside of the image; with `gate`, zeros where ReLU did not pass its values.
static inline vec load_pixel(const float *values, const float *gate, long offset, long channel) {
    if (offset < 0) return (vec){0};
    vec x = load(values + offset + channel);
    return gate ? relu_gate(load(gate + offset + channel), x) : x;
}

// Fetches what load_pixel loads into the second-level cache.
static inline void prefetch_pixel(const float *values, const float *gate, long offset, long channel) {
    if (offset < 0) return;
    __builtin_prefetch(values + offset + channel, 0, 2);
    if (gate) __builtin_prefetch(gate + offset + channel, 0, 2);
}

// The transforms of one tile. Its 64 transformed values of a channel lie `stride` floats apart.

// Rows before columns: the pixels of a row lie side by side in memory. Meanwhile the pixels of the next tile that are not
// in this one are fetched into the cache.
static inline __attribute__((always_inline)) void input_transform(
    images x, const float *gate, long tile, float *transformed, long stride
) {
    long offsets[64], next_offsets[64];
    locate_pixels(offsets, 8, 1, x, tile);
    locate_pixels(next_offsets, 8, 1, x, tile + 1);
    float half[8][8][TRANSFORM_CHANNELS];  // transformed along the rows, not yet along the columns
    for (long first = 0; first < x.channels; first += TRANSFORM_CHANNELS) {
        long channels = min(TRANSFORM_CHANNELS, x.channels - first);
        for (int i = 0; i < 8; i++)
            for (long c = 0; c < channels; c += LANES) {
                vec d[8], t[8];
                for (int j = 2; j < 8; j++) prefetch_pixel(x.values, gate, next_offsets[8 * i + j], first + c);
                for (int j = 0; j < 8; j++) d[j] = load_pixel(x.values, gate, offsets[8 * i + j], first + c);
                input_1d(d, t);
                for (int j = 0; j < 8; j++) store(&half[i][j][c], t[j]);
            }
        for (int j = 0; j < 8; j++)
            for (long c = 0; c < channels; c += LANES) {
                vec d[8], t[8];
                for (int i = 0; i < 8; i++) d[i] = load(&half[i][j][c]);
                input_1d(d, t);
                for (int i = 0; i < 8; i++) store(transformed + (8 * i + j) * stride + first + c, t[i]);
            }
    }
}

// Adds `bias` unless that is 0, and applies ReLU if asked to.
static inline __attribute__((always_inline)) void output_transform(
    const float *product, long stride, const float *bias, const int relu, images y, long tile
) {
    long offsets[36];
    locate_pixels(offsets, 6, 0, y, tile);
    for (long c = 0; c < y.channels; c += LANES) {
        vec m[8], pixels[6], half[6][8];
        for (int i = 0; i < 8; i++) {
            for (int j = 0; j < 8; j++) m[j] = load(product + (8 * i + j) * stride + c);
            output_1d(m, pixels);
            for (int j = 0; j < 6; j++) half[j][i] = pixels[j];
        }
        for (int j = 0; j < 6; j++) {
            output_1d(half[j], pixels);
            for (int i = 0; i < 6; i++) {
                long offset = offsets[6 * i + j];
                if (offset < 0) continue;
                vec value = pixels[i];
                if (bias) value += load(bias + c);
                if (relu) value = relu_gate(value, value);
                store_uncached(y.values + offset + c, value);
            }
        }
    }
}

static inline __attribute__((always_inline)) void output_transform_backward(
    images grad_y, const float *gate, long tile, float *grad_product, long stride
) {
    long offsets[36];
    locate_pixels(offsets, 6, 0, grad_y, tile);
    for (long c = 0; c < grad_y.channels; c += LANES) {
        vec pixels[6], m[8], half[8][6];
        for (int i = 0; i < 6; i++) {
            for (int j = 0; j < 6; j++) pixels[j] = load_pixel(grad_y.values, gate, offsets[6 * i + j], c);
            output_1d_backward(pixels, m);
            for (int j = 0; j < 8; j++) half[j][i] = m[j];
        }
        for (int j = 0; j < 8; j++) {
            output_1d_backward(half[j], m);
            for (int i = 0; i < 8; i++) store(grad_product + (8 * i + j) * stride + c, m[i]);
        }
    }
}

// The matrix products.

#define BLOCK_COLUMNS (2 * LANES)  // a block of the result is two vectors wide and as high as the registers allow
#define BLOCK_ROWS (LANES == 16 ? 12 : 6)  // of the convolution
#define GRADIENT_ROWS (LANES == 16 ? 8 : 4)  // of the filter gradient: divides the channels

// Computes a block of a matrix product, `rows` high and two vectors wide:
//     result[i * result_stride + j] (= or, with `add`, +=) sum over k of a[i * a_row + k * a_step] * b[k * b_step + j].
// In each step k it fetches a value of the next block's `a` into the first-level cache and one of a later `b` into the
// second, a few at a time: many at once would stop the loop until they arrive.
static inline __attribute__((always_inline)) void multiply_block(
    const float *a, long a_row, long a_step, const float *b, long b_step, long steps, float *result,
    long result_stride, const int rows, const int add, const float *next_a, const float *later_b, long later_step
) {
    vec sums[BLOCK_ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < 2; j++) sums[i][j] = add ? load(result + i * result_stride + j * LANES) : (vec){0};
    for (long k = 0; k < steps; k++) {
        vec left = load(b + k * b_step), right = load(b + k * b_step + LANES);
        __builtin_prefetch(next_a + k * rows, 0, 3);
        __builtin_prefetch(later_b + k * later_step, 0, 2);
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

// Multiplies the transformed input of some tiles, 64 matrices (tiles, channels) `stride` floats apart, by the transformed
// filter, 64 matrices (out_channels / PANEL, channels, PANEL). The results are 64 matrices (tiles, out_channels), each
// where the transformed input of the matrix before was: all of them stay in a cache. `matrices` is the place of the
// first result. At least BLOCK_ROWS tiles are computed.
static void multiply(
    float *matrices, long stride, long tiles, long channels, const float *filter, long out_channels
) {
    if (tiles < BLOCK_ROWS) tiles = BLOCK_ROWS;
    long blocks = (tiles + BLOCK_ROWS - 1) / BLOCK_ROWS * (PANEL / BLOCK_COLUMNS), panel_size = channels * PANEL;
    long later_step = (PANEL + blocks - 1) / blocks;
    for (int index = 0; index < 64; index++, matrices += stride) {
        const float *a = matrices + stride;
        for (long panel = 0; panel < out_channels; panel += PANEL, filter += panel_size) {
            const float *later_b = filter + panel_size;
            for (long k = 0; k < PANEL; k += BLOCK_COLUMNS)
                for (long tile = 0; tile < tiles; tile += BLOCK_ROWS, later_b += channels * later_step) {
                    // The last block overlaps the one before it: blocks of full height are faster.
                    long top = min(tile, tiles - BLOCK_ROWS), next = tile + BLOCK_ROWS;
                    const float *next_a = a + (next < tiles ? next * channels : stride);
                    multiply_block(
                        a + top * channels, channels, 1, filter + k, PANEL, channels,
                        matrices + top * out_channels + panel + k, out_channels, BLOCK_ROWS, 0, next_a, later_b,
                        later_step
                    );
                }
        }
    }
}

// Adds aᵀ b to the gradient (channels, out_channels), for a (tiles, channels) and b (tiles, out_channels).
static void add_transposed_product(
    const float *a, long channels, const float *b, long out_channels, long tiles, float *gradient
) {
    for (long k = 0; k < out_channels; k += BLOCK_COLUMNS)
        for (long c = 0; c < channels; c += GRADIENT_ROWS)
            multiply_block(
                a + c, 1, channels, b + k, out_channels, tiles, gradient + c * out_channels + k, out_channels,
                GRADIENT_ROWS, 1, a, b, 0
            );
}

// The functions that Python calls. `threads` is the number of threads, each of which has a buffer of `buffer_size`
// floats. A transformed filter is (64, out_channels / PANEL, channels, PANEL).

// Convolves the images x, gated by `gate` unless that is 0; adds `bias` unless that is 0; applies ReLU if asked to.
static inline __attribute__((always_inline)) void convolve(
    images x, const float *gate, const float *filter, const float *bias, const int relu, images y, float *buffers,
    long buffer_size, int threads
) {
    long tiles = count_tiles(x), channels = x.channels > y.channels ? x.channels : y.channels;
    long stride = BLOCK_TILES * channels + GAP;
#pragma omp parallel num_threads(threads)
    {
        float *matrices = buffers + omp_get_thread_num() * buffer_size;
#pragma omp for schedule(dynamic, 1)
        for (long first = 0; first < tiles; first += BLOCK_TILES) {
            long count = min(BLOCK_TILES, tiles - first);
            for (long i = 0; i < count; i++)
                input_transform(x, gate, first + i, matrices + stride + i * x.channels, stride);
            multiply(matrices, stride, count, x.channels, filter, y.channels);
            for (long i = 0; i < count; i++)
                output_transform(matrices + i * y.channels, stride, bias, relu, y, first + i);
        }
        finish_uncached_stores();
    }
}

void conv(
    images x, const float *filter, const float *bias, int relu, images y, float *buffers, long buffer_size, int threads
) {
    if (relu)
        convolve(x, 0, filter, bias, 1, y, buffers, buffer_size, threads);
    else
        convolve(x, 0, filter, bias, 0, y, buffers, buffer_size, threads);
}

// `y` is the result of conv with ReLU, or 0 for a convolution without. `filter` is the transform of the filter turned by
// 180 degrees, with input and output channels exchanged.
void input_gradient(
    images grad_y, const float *y, const float *filter, images grad_x, float *buffers, long buffer_size, int threads
) {
    convolve(grad_y, y, filter, 0, 0, grad_x, buffers, buffer_size, threads);
}

// Adds to grad_filter, (64, channels, out_channels), and to grad_bias. `y` is as for input_gradient. `buffers` are two buffers for a strip each: while
// some threads multiply the transformed tiles of one strip, others transform those of the next.
void filter_gradient(
    images x, images grad_y, const float *y, float *grad_filter, float *grad_bias, float *buffers, int threads
) {
    long tiles = count_tiles(x), channels = x.channels, out_channels = grad_y.channels;
    long stride = STRIP_TILES * channels + GAP, product_stride = STRIP_TILES * out_channels + GAP;
    long buffer_size = 64 * (stride + product_stride), strips = (tiles + STRIP_TILES - 1) / STRIP_TILES;
#pragma omp parallel num_threads(threads)
    for (long strip = 0; strip <= strips; strip++) {
        float *transformed = buffers + (strip + 1) % 2 * buffer_size, *grad_product = transformed + 64 * stride;
        float *next_transformed = buffers + strip % 2 * buffer_size;
        float *next_grad_product = next_transformed + 64 * stride;
        long count = min(STRIP_TILES, tiles - (strip - 1) * STRIP_TILES), products = strip > 0 ? 64 : 0;
        long next_count = min(STRIP_TILES, tiles - strip * STRIP_TILES);
        long transforms = strip < strips ? (next_count + TRANSFORM_TILES - 1) / TRANSFORM_TILES : 0;
#pragma omp for schedule(dynamic, 1)
        for (long task = 0; task < products + transforms; task++) {
            if (task < products) {
                const float *b = grad_product + task * product_stride;
                float *gradient = grad_filter + task * channels * out_channels;
                add_transposed_product(transformed + task * stride, channels, b, out_channels, count, gradient);
                if (task == SUM_INDEX)
                    for (long tile = 0; tile < count; tile++)
                        for (long k = 0; k < out_channels; k++) grad_bias[k] += b[tile * out_channels + k];
                continue;
            }
            long first = TRANSFORM_TILES * (task - products), last = min(first + TRANSFORM_TILES, next_count);
            for (long i = first; i < last; i++) {
                long tile = strip * STRIP_TILES + i;
                input_transform(x, 0, tile, next_transformed + i * channels, stride);
                output_transform_backward(grad_y, y, tile, next_grad_product + i * out_channels, product_stride);
            }
        }
    }
}
