// Winograd's F(6x6, 3x3) as transforms.py defines it: the transforms in a few additions instead of products with
// matrices, and without a copy of the tiles; the products without a copy of what is multiplied. A picture is
// (height, width, channels), what belongs to the tiles 64 matrices (tiles, channels); the channels are a multiple of 32.
// A call does some rows of tiles, beginning with the first-th, on the threads of the OpenMP that PyTorch has loaded.

#define LANES (__BIGGEST_ALIGNMENT__ / 4)  // of this processor's vectors: 16, 8 or 4
_Static_assert(16 % LANES == 0, "the channels, a multiple of 32, are one of two vectors");
typedef float vec __attribute__((vector_size(__BIGGEST_ALIGNMENT__), aligned(4), may_alias));
typedef int mask __attribute__((vector_size(__BIGGEST_ALIGNMENT__), aligned(4)));
typedef struct { float *pixels; long height, width, channels; } picture;
typedef struct { float *values; long apart, rows, columns; } matrices;  // 64, each `apart` behind the one before

static inline vec load(const float *from) { return *(const vec *)from; }
static inline void store(float *to, vec x) { *(vec *)to = x; }
// y, but 0 where x is cut off by ReLU: a NaN is not
static inline vec unless_cut(vec x, vec y) { return (vec)((mask)y & ~(x <= (vec){0})); }
static inline long columns_of(picture p) { return (p.width + 5) / 6; }

// One axis: d are pixels, t what becomes of them, m products, r results; _T is the transpose.

static inline void input(const vec d[8], vec t[8]) {
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

static inline void input_T(const vec t[8], vec d[8]) {
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

static inline void output(const vec m[8], vec r[6]) {
    vec a = m[1] + m[2], b = m[1] - m[2], e = m[3] + m[4], f = 2 * (m[3] - m[4]);
    vec g = m[5] + m[6], h = 0.5f * (m[5] - m[6]);
    r[0] = m[0] + a + e + g;
    r[1] = b + f + h;
    r[2] = a + 4 * e + 0.25f * g;
    r[3] = b + 4 * f + 0.25f * h;
    r[4] = a + 16 * e + 0.0625f * g;
    r[5] = b + 16 * f + 0.0625f * h + m[7];
}

static inline void output_T(const vec r[6], vec m[8]) {
    vec a = r[0] + r[2] + r[4], b = r[1] + r[3] + r[5];
    vec e = r[0] + 4 * r[2] + 16 * r[4], f = 2 * (r[1] + 4 * r[3] + 16 * r[5]);
    vec g = r[0] + 0.25f * r[2] + 0.0625f * r[4], h = 0.5f * (r[1] + 0.25f * r[3] + 0.0625f * r[5]);
    m[0] = r[0];
    m[1] = a + b;
    m[2] = a - b;
    m[3] = e + f;
    m[4] = e - f;
    m[5] = g + h;
    m[6] = g - h;
    m[7] = r[5];
}

// Where the pixels of a tile of side x side lie; those outside the picture at `outside`, which are zeros.
static inline void find(float *at[], int side, picture p, long top, long left, float *outside) {
    for (long c = 0; c < p.channels; c++) outside[c] = 0;
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            long y = top + i, x = left + j;
            int inside = 0 <= y && y < p.height && 0 <= x && x < p.width;
            at[side * i + j] = inside ? p.pixels + (y * p.width + x) * p.channels : outside;
        }
}

static inline float *of_tile(matrices m, int number, long tile) {
    return m.values + number * m.apart + tile * m.columns;
}

void seen(picture p, long first, matrices transformed) {
    long columns = columns_of(p);
#pragma omp parallel for
    for (long tile = 0; tile < transformed.rows; tile++) {
        float *at[64], outside[p.channels];
        find(at, 8, p, 6 * (first + tile / columns) - 1, 6 * (tile % columns) - 1, outside);
        for (long c = 0; c < p.channels; c += LANES) {
            vec d[8], t[8], half[8][8];
            for (int i = 0; i < 8; i++) {
                for (int j = 0; j < 8; j++) d[j] = load(at[8 * i + j] + c);
                input(d, t);
                for (int j = 0; j < 8; j++) half[j][i] = t[j];
            }
            for (int j = 0; j < 8; j++) {
                input(half[j], t);
                for (int i = 0; i < 8; i++) store(of_tile(transformed, 8 * i + j, tile) + c, t[i]);
            }
        }
    }
}

void put_results(matrices product, const float *bias, picture p, long first) {
    long columns = columns_of(p);
#pragma omp parallel for
    for (long tile = 0; tile < product.rows; tile++) {
        float *at[36], outside[p.channels];
        find(at, 6, p, 6 * (first + tile / columns), 6 * (tile % columns), outside);
        for (long c = 0; c < p.channels; c += LANES) {
            vec m[8], r[6], half[6][8];
            for (int i = 0; i < 8; i++) {
                for (int j = 0; j < 8; j++) m[j] = load(of_tile(product, 8 * i + j, tile) + c);
                output(m, r);
                for (int j = 0; j < 6; j++) half[j][i] = r[j];
            }
            for (int j = 0; j < 6; j++) {
                output(half[j], r);
                for (int i = 0; i < 6; i++) {
                    vec x = r[i] + load(bias + c);
                    store(at[6 * i + j] + c, unless_cut(x, x));
                }
            }
        }
    }
}

void of_product(const float *gradient, picture result, long first, matrices product) {
    long columns = columns_of(result);
    picture given = {(float *)gradient, result.height, result.width, result.channels};
#pragma omp parallel for
    for (long tile = 0; tile < product.rows; tile++) {
        float *at[36], *result_at[36], outside[result.channels];
        long top = 6 * (first + tile / columns), left = 6 * (tile % columns);
        find(at, 6, given, top, left, outside);
        find(result_at, 6, result, top, left, outside);
        for (long c = 0; c < result.channels; c += LANES) {
            vec r[6], m[8], half[8][6];
            for (int i = 0; i < 6; i++) {
                for (int j = 0; j < 6; j++) {
                    int k = 6 * i + j;
                    r[j] = unless_cut(load(result_at[k] + c), load(at[k] + c));
                }
                output_T(r, m);
                for (int j = 0; j < 8; j++) half[j][i] = m[j];
            }
            for (int j = 0; j < 8; j++) {
                output_T(half[j], m);
                for (int i = 0; i < 8; i++) store(of_tile(product, 8 * i + j, tile) + c, m[i]);
            }
        }
    }
}

void add_seen(matrices of_transformed, picture p, long first) {
    long columns = columns_of(p), rows = of_transformed.rows / columns;
    for (int odd = 0; odd < 2; odd++)  // what a row of tiles sees overlaps what the next one sees
#pragma omp parallel for
        for (long row = odd; row < rows; row += 2)
            for (long column = 0; column < columns; column++) {
                float *at[64], outside[p.channels];
                long tile = row * columns + column;
                find(at, 8, p, 6 * (first + row) - 1, 6 * column - 1, outside);
                for (long c = 0; c < p.channels; c += LANES) {
                    vec t[8], d[8], half[8][8];
                    for (int i = 0; i < 8; i++) {
                        for (int j = 0; j < 8; j++) t[j] = load(of_tile(of_transformed, 8 * i + j, tile) + c);
                        input_T(t, d);
                        for (int j = 0; j < 8; j++) half[j][i] = d[j];
                    }
                    for (int j = 0; j < 8; j++) {
                        input_T(half[j], d);
                        for (int i = 0; i < 8; i++) {
                            float *pixel = at[8 * i + j] + c;
                            store(pixel, load(pixel) + d[i]);
                        }
                    }
                }
            }
}

// Products of matrices. What is read next comes from far away: it is sent for beforehand, a part at a time.

#define PANEL 16  // columns of the factors that lie side by side: they are (64, columns / PANEL, rows, PANEL)
#define WIDE (2 * LANES)  // a block of results is two vectors wide, and as high as fits into the registers
#define HIGH (LANES == 16 ? 12 : 6)
#define HIGH_SUMS (LANES == 16 ? 8 : 6)  // 8 divides the channels; of 6, two or four are left over

static inline void send_for(const float *next, long size, long part, long parts) {
    for (long i = size * part / parts; i < size * (part + 1) / parts; i += 16) __builtin_prefetch(next + i, 0, 2);
}

// results[i * width + j], or what is added to them: the sum of a[i * row + s * step] * b[s * stride + j] over all s.
// The second vector of b is `second` behind the first. In `multiply` a holds tiles and b factors: s runs over the
// channels, side by side in a (step 1) and a panel's row apart in b. In `add_of_factors` s runs over the tiles, a row
// apart in both, and the channels lie side by side (row 1).
static inline __attribute__((always_inline)) void block(
    const float *a, long row, long step, const float *b, long stride, long second, long steps, float *results,
    long width, const int high, const int add
) {
    vec sums[HIGH][2];
#pragma GCC unroll 16
    for (int i = 0; i < high; i++)
        for (int j = 0; j < 2; j++) sums[i][j] = add ? load(results + i * width + j * LANES) : (vec){0};
    for (long s = 0; s < steps; s++) {
        vec left = load(b + s * stride), right = load(b + s * stride + second);
#pragma GCC unroll 16
        for (int i = 0; i < high; i++) {
            vec x = a[i * row + s * step] - (vec){0};  // in all lanes; to add 0 would take -0 its sign
            sums[i][0] += x * left;
            sums[i][1] += x * right;
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < high; i++)
        for (int j = 0; j < 2; j++) store(results + i * width + j * LANES, sums[i][j]);
}

void multiply(matrices transformed, const float *factors, matrices product) {
    long tiles = product.rows, channels = transformed.columns, features = product.columns;
    long parts = (tiles + HIGH - 1) / HIGH * (features / WIDE), second = WIDE > PANEL ? PANEL * channels : LANES;
#pragma omp parallel for
    for (int number = 0; number < 64; number++) {
        const float *a = of_tile(transformed, number, 0), *b = factors + number * channels * features;
        long part = 0;
        for (long f = 0; f < features; f += WIDE) {
            const float *panel = b + f / PANEL * PANEL * channels + f % PANEL;
            for (long tile = 0; tile < tiles; tile += HIGH, part++) {
                if (number < 63) {
                    send_for(a + transformed.apart, tiles * channels, part, parts);
                    send_for(b + channels * features, channels * features, part, parts);
                }
                if (tiles < HIGH)
                    for (long i = 0; i < tiles; i++) {
                        float *to = of_tile(product, number, i) + f;
                        block(a + i * channels, channels, 1, panel, PANEL, second, channels, to, features, 1, 0);
                    }
                else {  // the last block begins earlier rather than being smaller
                    long top = tile + HIGH <= tiles ? tile : tiles - HIGH;
                    float *to = of_tile(product, number, top) + f;
                    block(a + top * channels, channels, 1, panel, PANEL, second, channels, to, features, HIGH, 0);
                }
            }
        }
    }
}

void add_of_factors(matrices transformed, matrices of_product, float *of_factors) {
    long tiles = transformed.rows, channels = transformed.columns, features = of_product.columns;
    long parts = (channels + HIGH_SUMS - 1) / HIGH_SUMS * (features / WIDE);
#pragma omp parallel for
    for (int number = 0; number < 64; number++) {
        const float *a = of_tile(transformed, number, 0), *b = of_tile(of_product, number, 0);
        float *sums = of_factors + number * channels * features;
        long part = 0;
        for (long f = 0; f < features; f += WIDE)
            for (long c = 0; c < channels; c += HIGH_SUMS, part++) {
                if (number < 63) {
                    send_for(a + transformed.apart, tiles * channels, part, parts);
                    send_for(b + of_product.apart, tiles * features, part, parts);
                    send_for(sums + channels * features, channels * features, part, parts);
                }
                float *to = sums + c * features + f;
                if (c + HIGH_SUMS <= channels)
                    block(a + c, 1, channels, b + f, features, LANES, tiles, to, features, HIGH_SUMS, 1);
                else  // an even number is left
                    for (long i = 0; c + i < channels; i += 2)
                        block(a + c + i, 1, channels, b + f, features, LANES, tiles, to + i * features, features, 2, 1);
            }
    }
}
