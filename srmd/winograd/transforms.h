// Vectors, where tiles lie in images, and the transforms of tiles: parts of convolution.c.

#if __SSE__
#include <immintrin.h>
#endif

#define TRANSFORM_CHANNELS 64  // channels of a tile that are transformed at once
#define LANES (__BIGGEST_ALIGNMENT__ / 4)  // floats in a vector register of this processor: 16, 8 or 4
#define CACHE_LINE 16  // floats
#define LINE_VECTORS (CACHE_LINE / LANES)
_Static_assert(PANEL % (2 * LANES) == 0, "a panel must be a multiple of two vectors");
typedef float vec __attribute__((vector_size(__BIGGEST_ALIGNMENT__), aligned(4), may_alias));
typedef int mask __attribute__((vector_size(__BIGGEST_ALIGNMENT__), aligned(4)));
typedef struct { float *values; long count, height, width, channels; } images;

static inline vec load(const float *from) { return *(const vec *)from; }
static inline void store(float *to, vec x) { *(vec *)to = x; }
static inline long min(long a, long b) { return a < b ? a : b; }
// y where ReLU passes x, 0 where x <= 0. ReLU passes a NaN.
static inline vec relu_gate(vec x, vec y) { return (vec)((mask)y & ~(x <= (vec){0})); }

// Stores a vector to an aligned address, past the caches where the processor can: otherwise the processor would read the
// memory before it writes it. For values that are used only when the caches hold other data.
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

// Makes the values of store_uncached visible to other threads.
static inline void finish_uncached_stores(void) {
#if __SSE__
    _mm_sfence();
#endif
}

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

// Prefetches into the second-level cache what load_pixel loads.
static inline void prefetch_pixel(const float *values, const float *gate, long offset, long channel) {
    if (offset < 0) return;
    __builtin_prefetch(values + offset + channel, 0, 2);
    if (gate) __builtin_prefetch(gate + offset + channel, 0, 2);
}

// The transforms of one tile. The 64 transformed values of a channel lie `stride` floats apart. Channels lie side by side
// in groups of PANEL; the groups lie `panel_stride` floats apart.
static inline long channel_offset(long channel, long panel_stride) {
    return channel / PANEL * panel_stride + channel % PANEL;
}

// Transforms rows before columns, because the pixels of a row lie side by side in memory. Meanwhile it prefetches the
// pixels of the next tile that are not in this one.
static inline __attribute__((always_inline)) void input_transform(
    images x, const float *gate, long tile, float *transformed, long stride, long panel_stride
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
                float *to = transformed + channel_offset(first + c, panel_stride);
                for (int i = 0; i < 8; i++) store(to + (8 * i + j) * stride, t[i]);
            }
    }
}

// Adds `bias` unless that is 0, and applies ReLU if asked to. Writes whole cache lines: uncached stores of parts of them
// would be slow.
static inline __attribute__((always_inline)) void output_transform(
    const float *product, long stride, const float *bias, const int relu, images y, long tile
) {
    long offsets[36];
    locate_pixels(offsets, 6, 0, y, tile);
    for (long first = 0; first < y.channels; first += CACHE_LINE) {
        vec half[6][8][LINE_VECTORS], pixels[6], line[6][LINE_VECTORS];
        for (int i = 0; i < 8; i++)
            for (int v = 0; v < LINE_VECTORS; v++) {
                vec m[8];
                for (int j = 0; j < 8; j++) m[j] = load(product + (8 * i + j) * stride + first + v * LANES);
                output_1d(m, pixels);
                for (int j = 0; j < 6; j++) half[j][i][v] = pixels[j];
            }
        for (int j = 0; j < 6; j++) {
            for (int v = 0; v < LINE_VECTORS; v++) {
                vec m[8];
                for (int i = 0; i < 8; i++) m[i] = half[j][i][v];
                output_1d(m, pixels);
                for (int i = 0; i < 6; i++) {
                    vec value = pixels[i];
                    if (bias) value += load(bias + first + v * LANES);
                    if (relu) value = relu_gate(value, value);
                    line[i][v] = value;
                }
            }
            for (int i = 0; i < 6; i++) {
                long offset = offsets[6 * i + j];
                if (offset < 0) continue;
                for (int v = 0; v < LINE_VECTORS; v++)
                    store_uncached(y.values + offset + first + v * LANES, line[i][v]);
            }
        }
    }
}

// Like input_transform, for the 6x6 pixels of an output tile.
static inline __attribute__((always_inline)) void output_transform_backward(
    images grad_y, const float *gate, long tile, float *grad_product, long stride, long panel_stride
) {
    long offsets[36], next_offsets[36];
    locate_pixels(offsets, 6, 0, grad_y, tile);
    locate_pixels(next_offsets, 6, 0, grad_y, tile + 1);
    float half[6][8][TRANSFORM_CHANNELS];
    for (long first = 0; first < grad_y.channels; first += TRANSFORM_CHANNELS) {
        long channels = min(TRANSFORM_CHANNELS, grad_y.channels - first);
        for (int i = 0; i < 6; i++)
            for (long c = 0; c < channels; c += LANES) {
                vec pixels[6], m[8];
                for (int j = 0; j < 6; j++) prefetch_pixel(grad_y.values, gate, next_offsets[6 * i + j], first + c);
                for (int j = 0; j < 6; j++)
                    pixels[j] = load_pixel(grad_y.values, gate, offsets[6 * i + j], first + c);
                output_1d_backward(pixels, m);
                for (int j = 0; j < 8; j++) store(&half[i][j][c], m[j]);
            }
        for (int j = 0; j < 8; j++)
            for (long c = 0; c < channels; c += LANES) {
                vec pixels[6], m[8];
                for (int i = 0; i < 6; i++) pixels[i] = load(&half[i][j][c]);
                output_1d_backward(pixels, m);
                float *to = grad_product + channel_offset(first + c, panel_stride);
                for (int i = 0; i < 8; i++) store(to + (8 * i + j) * stride, m[i]);
            }
    }
}
