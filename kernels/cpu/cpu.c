/* Opening the CPU backend, what it says of itself, and its table. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "kernels/cpu/cpu.h"

#include "kernels/cpu/product.h"
#include <omp.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void cpu_close(struct kernels *k)
{
    free(k ? cpu_of(k) : NULL);
    /* The pool's threads end with the run: an idle program holds no spinning threads, and leak checkers no
     * strangers. */
    omp_pause_resource_all(omp_pause_hard);
}

static void cpu_info(const struct kernels *k, struct kernels_info *out)
{
    const struct cpu *c = cpu_of_const(k);
    *out = (struct kernels_info){.backend = "cpu", .threads = c->threads};
    snprintf(out->simd, sizeof out->simd, "%s", c->simd->name);
    char unused[80];
    if (c->library) /* libraries multiply fp32 here */
        snprintf(out->product, sizeof out->product, "%s; fp16, bf16, int8: own loops",
                 c->library->load(unused, sizeof unused));
    else
        snprintf(out->product, sizeof out->product, "own loops");
    snprintf(out->product_why, sizeof out->product_why, "%s", c->product_why);
    snprintf(out->affinity, sizeof out->affinity, "%s", c->affinity);
}

static struct kernels *cpu_view(struct kernels *k, enum kernel_dtype activation)
{
    return activation == k->activation ? k : NULL;
}

/* Nothing here can fail after its arguments were accepted. */
static const char *cpu_error(const struct kernels *k)
{
    (void)k;
    return NULL;
}

static const struct kernel_ops cpu_ops = {
    .close = cpu_close,
    .info = cpu_info,
    .view = cpu_view,
    .error = cpu_error,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .allocated = cpu_allocated,
    .memory = cpu_memory,
    .upload = cpu_copy,
    .download = cpu_copy,
    .synchronize = cpu_synchronize,
    .event_create = cpu_event_create,
    .event_destroy = cpu_event_destroy,
    .event_record = cpu_event_record,
    .event_span_ns = cpu_event_span_ns,
    .page_bytes = cpu_page_bytes,
    .reserve = cpu_reserve,
    .map = cpu_map,
    .unmap = cpu_unmap,
    .unreserve = cpu_unreserve,
    .generate = cpu_generate,
    .read_matrix = cpu_read_matrix,
    .write_matrix = cpu_write_matrix,
    .embed = cpu_embed,
    .norm = cpu_norm,
    .add_norm = cpu_add_norm,
    .product = cpu_product,
    .product_workspace = cpu_product_workspace,
    .gate_up = cpu_gate_up,
    .gate_up_workspace = cpu_gate_up_workspace,
    .head_argmax = cpu_head_argmax,
    .head_argmax_workspace = cpu_head_argmax_workspace,
    .top_k = cpu_top_k,
    .mask_top_k = cpu_mask_top_k,
    .sparse_product = cpu_sparse_product,
    .sparse_product_workspace = cpu_sparse_product_workspace,
    .sparse_gate_up = cpu_sparse_gate_up,
    .add = cpu_add,
    .add_bias = cpu_add_bias,
    .activate = cpu_activate,
    .multiply_silu = cpu_multiply_silu,
    .argmax = cpu_argmax,
    .gather_rows = cpu_gather_rows,
    .rope = cpu_rope,
    .cache_write = cpu_cache_write,
    .rope_cache = cpu_rope_cache,
    .attention_naive = cpu_attention_naive,
    .attention_naive_workspace = cpu_attention_naive_workspace,
    .attention_flash = cpu_attention_flash,
    .attention_flash_workspace = cpu_attention_flash_workspace,
    .ssm_conv = cpu_ssm_conv,
    .ssm_softplus = cpu_ssm_softplus,
    .ssm_gate = cpu_ssm_gate,
    .ssm_naive = cpu_ssm_naive,
    .ssm_naive_workspace = cpu_ssm_naive_workspace,
    .ssm_scan = cpu_ssm_scan,
    .ssm_scan_workspace = cpu_ssm_scan_workspace,
    .copy = cpu_copy,
    .advance = cpu_advance,
    .measure_read = cpu_measure_read,
    .measure_copy = cpu_measure_copy,
};

/* The cores this process may use, counted and in words: "cores 0-3,8, threads not pinned". */
static int describe_affinity(char *out, size_t size)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        snprintf(out, size, "affinity unknown, threads not pinned");
        return omp_get_num_procs();
    }
    size_t used = (size_t)snprintf(out, size, "cores ");
    const char *separator = "";
    for (size_t first = 0; first < CPU_SETSIZE; first++) {
        if (!CPU_ISSET(first, &set))
            continue;
        size_t last = first;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &set))
            last++;
        if (used + 40 < size)
            used += (size_t)snprintf(out + used, size - used, last > first ? "%s%zu-%zu" : "%s%zu", separator,
                                     first, last);
        separator = ",";
        first = last;
    }
    const char *bind = getenv("OMP_PROC_BIND");
    bool pinned = bind && strcmp(bind, "false") != 0 && strcmp(bind, "FALSE") != 0;
    snprintf(out + used, size - used, pinned ? ", threads pinned by OMP_PROC_BIND" : ", threads not pinned");
    return CPU_COUNT(&set);
}

struct kernels *kernels_open_cpu(const struct kernels_config *config, char *why, size_t why_size)
{
    if (config->threads < 0 || config->threads > 4096) {
        snprintf(why, why_size, "%d threads make no sense: choose 1 or more, or 0 for all cores",
                 config->threads);
        return NULL;
    }
    /* oneDNN splits its work by the threads it asked for and silently leaves out what a smaller team never
     * reaches. */
    int limit = omp_get_thread_limit();
    if (config->threads > limit) {
        snprintf(why, why_size, "OMP_THREAD_LIMIT allows %d threads, not %d: unset it or choose fewer", limit,
                 config->threads);
        return NULL;
    }
    const struct simd *simd = simd_select(config->simd, why, why_size);
    if (!simd)
        return NULL;
    struct cpu *c = calloc(1, sizeof *c);
    if (!c) {
        snprintf(why, why_size, "no memory for the cpu backend: close other programs");
        return NULL;
    }
    c->base.ops = &cpu_ops;
    c->base.activation = KERNEL_FP32;
    c->base.sparse_rows = CPU_SPARSE_ROWS;
    c->base.piece_rows = 512;
    c->simd = simd;
    if (product_select(config->product, &c->library, c->product_why, sizeof c->product_why, why, why_size) !=
        0) {
        free(c);
        return NULL;
    }
    int cores = describe_affinity(c->affinity, sizeof c->affinity);
    c->threads = config->threads ? config->threads : cores < limit ? cores : limit;
    return &c->base;
}
