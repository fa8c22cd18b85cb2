// A 3x3 convolution by Winograd's F(6x6, 3x3) (Lavin and Gray, CVPR 2016), and the gradient of its filter.
//
// Images are (count, height, width, channels), the number of channels a multiple of PANEL. Tiles of 6x6 output pixels are
// numbered through all images, row by row. Loops run on the threads of the OpenMP library that PyTorch has loaded. A
// layer is one parallel region: each thread takes a block of tiles whenever it is free, and computes it in buffers of
// its own. If the system takes a core away, the other threads go on with the remaining blocks. Each output value is
// always computed by the same operations in the same order, so results do not depend on the threads.
//
// compiled.py defines BLOCK_TILES, the number of tiles that a thread convolves at once; STRIP_TILES, the largest number
// of tiles whose part of the filter's gradient a thread computes at once; PANEL, the number of output channels that lie
// side by side in the transformed filter; and GAP, the number of floats between matrices.

int omp_get_thread_num(void);

#include "transforms.h"

#include "products.h"

// Value SUM_INDEX of the 64 of a tile in grad_product is the sum of the tile of grad_y: column 1 of Aᵀ is all ones.
#define SUM_INDEX 9

// Convolves the images x. If `gate` is not 0, values of x count as 0 where ReLU made `gate` 0. Adds `bias` if it is not
// 0; applies ReLU if asked to.
// `buffers` holds a buffer of `buffer_size` floats for each of the threads.
static inline __attribute__((always_inline)) void convolve(
    images x, const float *gate, float *filter, const float *bias, const int relu, images y, float *buffers,
    long buffer_size, int threads
) {
    long tiles = count_tiles(x), channels = x.channels > y.channels ? x.channels : y.channels;
    long stride = BLOCK_TILES * channels + GAP;
#pragma omp parallel num_threads(threads)
    {
        float *matrices = buffers + omp_get_thread_num() * buffer_size, *transformed = matrices + stride;
#pragma omp for schedule(dynamic, 1)
        for (long first = 0; first < tiles; first += BLOCK_TILES) {
            long count = min(BLOCK_TILES, tiles - first);
            for (long i = 0; i < count; i++)
                input_transform(x, gate, first + i, transformed + i * x.channels, stride, PANEL);
            multiply(matrices, stride, count, x.channels, filter, y.channels);
            for (long i = 0; i < count; i++)
                output_transform(matrices + i * y.channels, stride, bias, relu, y, first + i);
        }
        finish_uncached_stores();
    }
}

// The functions that Python calls. A transformed filter is (64, out_channels / PANEL, channels, PANEL).

void conv(
    images x, float *filter, const float *bias, int relu, images y, float *buffers, long buffer_size, int threads
) {
    if (relu)
        convolve(x, 0, filter, bias, 1, y, buffers, buffer_size, threads);
    else
        convolve(x, 0, filter, bias, 0, y, buffers, buffer_size, threads);
}

// `y` is the result of conv with ReLU; 0 if conv was called without ReLU. `filter` is the transform of the filter turned by
// 180 degrees, with input and output channels exchanged.
void input_gradient(
    images grad_y, const float *y, float *filter, images grad_x, float *buffers, long buffer_size, int threads
) {
    convolve(grad_y, y, filter, 0, 0, grad_x, buffers, buffer_size, threads);
}

// Computes what `count` tiles contribute to the gradient of the transformed filter; adds it to `gradient` if asked to,
// else overwrites it. Always adds to the gradient of the bias, which follows in memory.
static void strip_gradient(
    images x, images grad_y, const float *y, long first, long count, const int add, float *gradient, float *buffer
) {
    long channels = x.channels, out_channels = grad_y.channels, panel_stride = STRIP_TILES * PANEL;
    long stride = STRIP_TILES * channels + GAP, product_stride = STRIP_TILES * out_channels + GAP;
    float *transformed = buffer, *grad_product = buffer + 64 * stride;
    for (long i = 0; i < count; i++) {
        input_transform(x, 0, first + i, transformed + i * PANEL, stride, panel_stride);
        output_transform_backward(grad_y, y, first + i, grad_product + i * PANEL, product_stride, panel_stride);
    }
    const float *sums = grad_product + SUM_INDEX * product_stride;
    float *grad_bias = gradient + 64 * channels * out_channels;
    for (long k = 0; k < out_channels; k++)
        for (long i = 0; i < count; i++) grad_bias[k] += sums[channel_offset(k, panel_stride) + i * PANEL];
    for (int index = 0; index < 64; index++, gradient += channels * out_channels) {
        const float *a = transformed + index * stride;
        float *b = grad_product + index * product_stride;
        if (add)
            multiply_transposed(a, channels, b, out_channels, count, panel_stride, gradient, 1);
        else
            multiply_transposed(a, channels, b, out_channels, count, panel_stride, gradient, 0);
    }
}

// Computes the gradient of the transformed filter, and behind it that of the bias, into the first of `groups`
// arrays in `gradients`. `y` is as for input_gradient. The tiles are divided into groups, at most as many as there are
// tiles. A thread computes the gradient of a group whenever it is free; the arrays are then added in their order.
void filter_gradient(
    images x, images grad_y, const float *y, float *gradients, long groups, float *buffers, long buffer_size,
    int threads
) {
    long tiles = count_tiles(x), filter_size = 64 * x.channels * grad_y.channels, size = filter_size + grad_y.channels;
#pragma omp parallel num_threads(threads)
    {
        float *buffer = buffers + omp_get_thread_num() * buffer_size;
#pragma omp for schedule(dynamic, 1)
        for (long group = 0; group < groups; group++) {
            long first = tiles * group / groups, count = tiles * (group + 1) / groups - first;
            long strips = (count + STRIP_TILES - 1) / STRIP_TILES;
            float *gradient = gradients + group * size;
            for (long k = filter_size; k < size; k++) gradient[k] = 0;
            for (long strip = 0; strip < strips; strip++) {
                long from = count * strip / strips, to = count * (strip + 1) / strips;
                strip_gradient(x, grad_y, y, first + from, to - from, strip > 0, gradient, buffer);
            }
        }
#pragma omp for schedule(dynamic, 64)
        for (long i = 0; i < size; i += LANES) {
            vec sum = load(gradients + i);
            for (long group = 1; group < groups; group++) sum += load(gradients + group * size + i);
            store(gradients + i, sum);
        }
    }
}
