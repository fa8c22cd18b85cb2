// The transforms of Winograd's F(4x4, 3x3) as transforms.py defines them, in a few additions instead of products with
// matrices, and without a copy of the tiles. A picture is (height, width, channels); the channels are a multiple of 16.
// A call does some rows of tiles, beginning with the first-th, on the threads of the OpenMP that PyTorch has loaded.

#define LANES (__BIGGEST_ALIGNMENT__ / 4)  // of this processor's vectors: 16, 8 or 4
_Static_assert(16 % LANES == 0, "channels are a multiple of 16");
typedef float vec __attribute__((vector_size(__BIGGEST_ALIGNMENT__), aligned(4), may_alias));
typedef int mask __attribute__((vector_size(__BIGGEST_ALIGNMENT__), aligned(4)));
typedef struct { float *pixels; long height, width, channels; } picture;

static inline vec load(const float *from) { return *(const vec *)from; }
static inline void store(float *to, vec x) { *(vec *)to = x; }
// y, but 0 where x is cut off by ReLU: a NaN is not
static inline vec unless_cut(vec x, vec y) { return (vec)((mask)y & ~(x <= (vec){0})); }
static inline long columns_of(picture p) { return (p.width + 3) / 4; }

// One axis: d are pixels, t what becomes of them, m products, r results; _T is the transpose.

static inline void input(const vec d[6], vec t[6]) {
    vec a = d[4] - 4 * d[2], b = d[3] - 4 * d[1], e = d[4] - d[2], f = 2 * (d[3] - d[1]);
    t[0] = 4 * d[0] - 5 * d[2] + d[4];
    t[1] = a + b;
    t[2] = a - b;
    t[3] = e + f;
    t[4] = e - f;
    t[5] = 4 * d[1] - 5 * d[3] + d[5];
}

static inline void input_T(const vec t[6], vec d[6]) {
    vec a = t[1] + t[2], b = t[1] - t[2], e = t[3] + t[4], f = 2 * (t[3] - t[4]);
    d[0] = 4 * t[0];
    d[1] = 4 * (t[5] - b) - f;
    d[2] = -5 * t[0] - 4 * a - e;
    d[3] = b + f - 5 * t[5];
    d[4] = t[0] + a + e;
    d[5] = t[5];
}

static inline void output(const vec m[6], vec r[4]) {
    vec a = m[1] + m[2], b = m[1] - m[2], e = m[3] + m[4], f = 2 * (m[3] - m[4]);
    r[0] = m[0] + a + e;
    r[1] = b + f;
    r[2] = a + 4 * e;
    r[3] = b + 4 * f + m[5];
}

static inline void output_T(const vec r[4], vec m[6]) {
    vec a = r[0] + r[2], b = r[1] + r[3], e = r[0] + 4 * r[2], f = 2 * (r[1] + 4 * r[3]);
    m[0] = r[0];
    m[1] = a + b;
    m[2] = a - b;
    m[3] = e + f;
    m[4] = e - f;
    m[5] = r[3];
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

void seen(picture p, long first, long rows, float *transformed) {
    long columns = columns_of(p), tiles = rows * columns;
#pragma omp parallel for
    for (long tile = 0; tile < tiles; tile++) {
        float *at[36], outside[p.channels];
        find(at, 6, p, 4 * (first + tile / columns) - 1, 4 * (tile % columns) - 1, outside);
        for (long c = 0; c < p.channels; c += LANES) {
            vec d[6], t[6], half[6][6];
            for (int i = 0; i < 6; i++) {
                for (int j = 0; j < 6; j++) d[j] = load(at[6 * i + j] + c);
                input(d, t);
                for (int j = 0; j < 6; j++) half[j][i] = t[j];
            }
            for (int j = 0; j < 6; j++) {
                input(half[j], t);
                for (int i = 0; i < 6; i++) store(transformed + ((6 * i + j) * tiles + tile) * p.channels + c, t[i]);
            }
        }
    }
}

void put_results(const float *product, const float *bias, picture p, long first, long rows) {
    long columns = columns_of(p), tiles = rows * columns;
#pragma omp parallel for
    for (long tile = 0; tile < tiles; tile++) {
        float *at[16], outside[p.channels];
        find(at, 4, p, 4 * (first + tile / columns), 4 * (tile % columns), outside);
        for (long c = 0; c < p.channels; c += LANES) {
            vec m[6], r[4], half[4][6];
            for (int i = 0; i < 6; i++) {
                for (int j = 0; j < 6; j++) m[j] = load(product + ((6 * i + j) * tiles + tile) * p.channels + c);
                output(m, r);
                for (int j = 0; j < 4; j++) half[j][i] = r[j];
            }
            for (int j = 0; j < 4; j++) {
                output(half[j], r);
                for (int i = 0; i < 4; i++) {
                    vec x = r[i] + load(bias + c);
                    store(at[4 * i + j] + c, unless_cut(x, x));
                }
            }
        }
    }
}

void of_products(const float *gradient, picture result, long first, long rows, float *product) {
    long columns = columns_of(result), tiles = rows * columns;
    picture given = {(float *)gradient, result.height, result.width, result.channels};
#pragma omp parallel for
    for (long tile = 0; tile < tiles; tile++) {
        float *at[16], *result_at[16], outside[result.channels];
        long top = 4 * (first + tile / columns), left = 4 * (tile % columns);
        find(at, 4, given, top, left, outside);
        find(result_at, 4, result, top, left, outside);
        for (long c = 0; c < result.channels; c += LANES) {
            vec r[4], m[6], half[6][4];
            for (int i = 0; i < 4; i++) {
                for (int j = 0; j < 4; j++) {
                    int k = 4 * i + j;
                    r[j] = unless_cut(load(result_at[k] + c), load(at[k] + c));
                }
                output_T(r, m);
                for (int j = 0; j < 6; j++) half[j][i] = m[j];
            }
            for (int j = 0; j < 6; j++) {
                output_T(half[j], m);
                for (int i = 0; i < 6; i++) store(product + ((6 * i + j) * tiles + tile) * result.channels + c, m[i]);
            }
        }
    }
}

void add_seen(const float *transformed, picture p, long first, long rows) {
    long columns = columns_of(p), tiles = rows * columns;
    for (int odd = 0; odd < 2; odd++)  // what a row of tiles sees overlaps what the next one sees
#pragma omp parallel for
        for (long row = odd; row < rows; row += 2)
            for (long column = 0; column < columns; column++) {
                float *at[36], outside[p.channels];
                long tile = row * columns + column;
                find(at, 6, p, 4 * (first + row) - 1, 4 * column - 1, outside);
                for (long c = 0; c < p.channels; c += LANES) {
                    vec t[6], d[6], half[6][6];
                    for (int i = 0; i < 6; i++) {
                        for (int j = 0; j < 6; j++)
                            t[j] = load(transformed + ((6 * i + j) * tiles + tile) * p.channels + c);
                        input_T(t, d);
                        for (int j = 0; j < 6; j++) half[j][i] = d[j];
                    }
                    for (int j = 0; j < 6; j++) {
                        input_T(half[j], d);
                        for (int i = 0; i < 6; i++) {
                            float *pixel = at[6 * i + j] + c;
                            store(pixel, load(pixel) + d[i]);
                        }
                    }
                }
            }
}
