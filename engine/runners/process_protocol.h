/* What the two sides of engine/runners/process say to each other. Both are the same executable, so structs
 * travel as they are; the hello proves it. Nobody else includes this. */
#pragma once

#include "engine/runners/process.h"

/* A hello, then a call at a time; every call is answered by frames, the last of which is DONE or ERROR. */
#define PROCESS_MAGIC 0x62656e6368626c6bu /* "benchblk" */
struct process_hello {
    uint64_t magic, bytes; /* sizeof this struct */
    struct preset preset;  /* its `unknown` is NULL */
    struct model_spec model;
    enum workload workload;
    int batch, seq, tokens, samples_max, cell, arm, visit, round;
    bool realtime;
};
enum process_verb {
    PROCESS_PREPARE,
    PROCESS_RESET,
    PROCESS_RUN,
    PROCESS_OUTPUT,
    PROCESS_QUALITY, /* n: the arms (bits) to be judged together with the prepared one, which is the first */
    PROCESS_RESPONSES
};
struct process_call {
    enum process_verb verb;
    int n; /* RUN: samples; QUALITY: arms */
};
enum process_kind {
    PROCESS_PROGRESS,
    PROCESS_SAMPLE,
    PROCESS_LOGITS,
    PROCESS_JUDGED,   /* struct arm_quality of each arm, in the order of their bits */
    PROCESS_ANSWERED, /* struct process_answers, the ids, and for each response its struct and texts */
    PROCESS_DONE,
    PROCESS_ERROR
};
struct process_frame {
    enum process_kind kind;
    uint32_t bytes; /* of what follows */
};
struct process_progress {
    double fraction;
    char what[32];
};
struct process_logits { /* and rows x width floats */
    int rows, width;
    uint64_t input_hash;
};
struct process_answers {
    int n, length; /* n 0: none */
};
struct process_answer {
    struct session_response response; /* its texts are not pointers here: they follow */
    uint32_t prompt_bytes, text_bytes;
};
struct process_done {
    int64_t now_ns, load_ns;
    struct memory_use memory;
    struct model_work work;
    struct text_figures text;
    bool throttled, can_throttle;
};

/* All bytes, or -1 (end of the pipe, an error). */
int process_read(int fd, void *to, size_t n);
int process_write(int fd, const void *from, size_t n);
