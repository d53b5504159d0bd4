/* What the Sessions screen knows, shared by its files: the list as it is on disk, what is marked, and what
 * its jobs have brought. UI thread only. */
#pragma once

#include "tui/app.h"
#include "tui/difference.h"
#include "tui/trend.h"
#include "tui/widget.h"

enum sessions_sort {
    SESSIONS_DATE,
    SESSIONS_PRESET,
    SESSIONS_MODELS,
    SESSIONS_STATUS,
    SESSIONS_CELLS,
    SESSIONS_SIZE,
    SESSIONS_SORTS
};

struct sessions_state {
    struct session_entry *entry; /* newest first, as session_list gave them */
    int n;
    int *shown, n_shown; /* indices, filtered and sorted */
    enum sessions_sort sort;
    bool reverse;
    struct widget_entry filter;
    bool filtering;
    bool listed, stale;      /* read at least once; the folder may have changed since */
    bool running;            /* a run was going when this was last drawn: its end changes its file */
    struct job *listing;     /* the job that reads the list: anything else goes first. Only compared */
    struct error list_error; /* why it could not be read */
    struct widget_scroll scroll;
    struct rect rows; /* of the list, as last drawn: for clicks and paging */
    char base[512];   /* path of the session marked for comparison; "": none */

    bool on_trend; /* the trend is shown below the list */
    bool has_trend;
    struct history trend;
    struct history_judgement *judged; /* [trend.n_keys] */
    int trend_key;

    bool on_difference; /* the comparison takes the screen until Esc */
    struct difference difference;
    struct widget_scroll difference_scroll;
    int difference_rows;
};

/* NULL: the list is empty. */
const struct session_entry *sessions_selected(const struct sessions_state *s);
void sessions_arrange(struct sessions_state *s); /* after entries, filter or order changed */

/* Jobs: view_sessions_jobs.c. Errors are told on the status line. */
void sessions_job_list(struct app *a);
void sessions_job_open(struct app *a, const char *path);
void sessions_job_rerun(struct app *a, const char *path);
void sessions_job_resume(struct app *a, const char *path);
void sessions_job_compare(struct app *a, const char *base, const char *candidate);
void sessions_job_trend(struct app *a);
