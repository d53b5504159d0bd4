/* Which rule of cutting words a BPE vocabulary names (tokenizer.ggml.pre), and what goes with it, as
 * llama.cpp has it (src/llama-vocab.cpp, llama_vocab::impl::load). */
#include "engine/model/tokenizer_internal.h"

#include <stdio.h>
#include <string.h>

static const struct pre_name {
    const char *names; /* between blanks */
    enum tokenizer_pre pre;
    bool add_bos, ignore_merges;
} pre_names[] = {
    {" gpt-2 phi-2 mpt olmo jais trillion granite-docling jina-es jina-de jina-v1-en jina-v2-es jina-v2-de "
     "jina-v2-code roberta-bpe gigachat a.x-4.0 mellum modern-bert exaone4 ",
     PRE_GPT2, false, false},
    {" starcoder refact command-r smollm codeshell exaone minerva-7b mellum2 ", PRE_STARCODER, false, false},
    {" llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano ", PRE_LLAMA3, true,
     true},
    {" dbrx smaug-bpe chatglm-bpe ", PRE_LLAMA3, false, false},
    {" glm4 glm5 ", PRE_LLAMA3, false, true},
    {" jais-2 ", PRE_JAIS2, false, false},
    {" qwen2 deepseek-r1-qwen kormo f2llmv2 stablelm2 megrez hunyuan solar-open grok-2 bailingmoe "
     "bailingmoe2 "
     "llada-moe ",
     PRE_QWEN2, false, false},
    {" qwen35 ", PRE_QWEN35, false, false},
    {" falcon ", PRE_FALCON, false, false},
    {" default ", PRE_DEFAULT, false, false},
    {" deepseek-llm ", PRE_DEEPSEEK_LLM, false, false},
    {" deepseek-coder ", PRE_DEEPSEEK_CODER, false, false},
    {" deepseek-v3 hunyuan-dense joyai-llm hy_v4 ", PRE_DEEPSEEK3, false, false},
    {" spark2_5 ", PRE_SPARK, false, false},
    {" youtu ", PRE_YOUTU, false, true},
    {" tekken ", PRE_TEKKEN, true, true},
    {" gpt-4o llama4 kanana2 talkie minimax-m2 ", PRE_GPT4O, false, false},
    {" granite-embed-multi-97m ", PRE_GRANITE, false, true},
    {" tiny_aya cohere2moe ", PRE_TINY_AYA, false, false},
    {" bloom poro-chat gpt3-finnish ", PRE_BLOOM, false, false},
    {" viking ", PRE_VIKING, false, false},
    {" superbpe ", PRE_SUPERBPE, false, false},
    {" seed-coder ", PRE_SEED_CODER, false, false},
    {" ufakzeka ", PRE_UFAKZEKA, false, false},
    {" afmoe ", PRE_AFMOE, false, false},
    {" laguna ", PRE_LAGUNA, false, false},
    {" exaone-moe ", PRE_EXAONE_MOE, false, false},
    {" kimi-k2 ", PRE_KIMI_K2, false, false},
    {" minicpm5 ", PRE_MINICPM5, false, true},
    {" chameleon ", PRE_CHAMELEON, true, false},
    {" gemma4 granite-embed-multi-311m ", PRE_GEMMA4, true, false},
    {" sarvam-moe ", PRE_SARVAM, false, false},
};

static void choose(struct tokenizer *t, const struct pre_name *p)
{
    t->pre = p->pre;
    t->add_bos = p->add_bos;
    t->ignore_merges = p->ignore_merges;
    t->raw = p->pre == PRE_GEMMA4 || p->pre == PRE_SARVAM;
}

int tokenizer_choose_pre(struct tokenizer *t, const struct gguf *g, struct error *e)
{
    struct gguf_string pre = {"", 0}, model = {"", 0};
    char name[64], word[66];
    gguf_text(g, "tokenizer.ggml.pre", &pre);
    gguf_text(g, "tokenizer.ggml.model", &model);
    if (gguf_equal(model, "gemma4"))
        pre = model; /* whatever the file names */
    bool none = pre.n == 0;
    snprintf(name, sizeof name, "%.*s", (int)(pre.n < 63 ? pre.n : 63), none ? "" : pre.bytes);
    snprintf(word, sizeof word, " %s ", none ? "default" : name);
    error_clean_text(name);
    for (size_t i = 0; i < sizeof pre_names / sizeof pre_names[0]; i++) {
        if (pre.n > 62 || strchr(name, ' ') || !strstr(pre_names[i].names, word))
            continue;
        choose(t, &pre_names[i]);
        if (none) /* files from before there were names: llama.cpp's own choice, with a warning */
            snprintf(t->kind, sizeof t->kind, "gpt2, default (the file names no pre-tokenizer)");
        else
            snprintf(t->kind, sizeof t->kind, "gpt2, %.50s", name);
        return 0;
    }
    return error_set(
        e, ERROR_UNSUPPORTED,
        "the pre-tokenizer %s is not known here: known are gpt-2, llama-bpe, qwen2, starcoder, falcon, "
        "deepseek-llm, tekken, gpt-4o, bloom and their kin",
        name);
}
