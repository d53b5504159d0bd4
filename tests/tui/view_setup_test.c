#include "tests/tui/fixture.h"

#include <sys/stat.h>

static void check_shows(struct app *a, const char *part)
{
    char *text = fixture_draw(a, 120, 40, false);
    CHECK_CONTAINS(text, part);
    free(text);
}

static void press(struct app *a, int key, int times)
{
    while (times-- > 0)
        app_key(a, key);
}

TEST(setup_looks_as_it_should)
{
    struct app a;
    fixture_open(&a);
    fixture_check_sizes(&a, "setup");
    app_free(&a);
}

TEST(dialogs_look_as_they_should)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "?");
    fixture_check(&a, "help", 80, 24, false);
    fixture_keys(&a, "\033:");
    fixture_check(&a, "palette", 80, 24, false);
    fixture_keys(&a, "\033");
    press(&a, KEY_CODE_RIGHT, 1);
    fixture_keys(&a, "\n");
    fixture_check(&a, "values", 80, 24, false);
    fixture_keys(&a, "\033");
    app_say(
        &a, true,
        "llama3-70b at batch 64 and sequence 32768 needs 2048.0 GiB, 20.0 GiB are free: 2028.0 GiB too much; "
        "gpt2-124m holds 1024 tokens, decode of 2048 needs 2049: choose a sequence of at most 1023");
    fixture_check(&a, "message", 80, 24, false);
    app_free(&a);
}

TEST(models_are_chosen_and_the_plan_follows)
{
    struct app a;
    fixture_open(&a);
    int cells = a.plan.n_cells;
    CHECK_INT(cells, 4);
    fixture_keys(&a, "/gpt2 355\n");
    fixture_keys(&a, " ");
    CHECK_INT(a.preset.n_models, 2);
    CHECK_STRING(a.preset.models[1], "gpt2-355m");
    CHECK_INT(a.plan.n_cells, 2 * cells);
    fixture_keys(&a, " ");
    CHECK_INT(a.preset.n_models, 1);
    fixture_keys(&a, "\033");
    check_shows(&a, "llama-7b");
    app_free(&a);
}

TEST(the_filter_takes_letters_and_escape_clears_it)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "/qr");
    CHECK(!a.quit && a.engine == NULL);
    check_shows(&a, "No model matches");
    fixture_keys(&a, "\033");
    check_shows(&a, "gpt2-124m");
    app_free(&a);
}

TEST(without_a_model_the_plan_says_what_is_missing)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "/gpt2-124\n d");
    CHECK_INT(a.preset.n_models, 0);
    check_shows(&a, "impossible as it stands");
    fixture_keys(&a, "r");
    CHECK(a.engine == NULL && a.message_is_error);
    app_free(&a);
}

TEST(space_cycles_the_values_of_an_axis)
{
    struct app a;
    fixture_open(&a);
    press(&a, KEY_CODE_DOWN, 1);  /* optimized */
    press(&a, KEY_CODE_RIGHT, 4); /* precision */
    CHECK_INT(a.preset.arms[1].implementation.precision, PRECISION_FP32);
    fixture_keys(&a, " ");
    CHECK_INT(a.preset.arms[1].implementation.precision, PRECISION_FP16);
    for (int i = 1; i < PRECISIONS; i++)
        fixture_keys(&a, " ");
    CHECK_INT(a.preset.arms[1].implementation.precision, PRECISION_FP32);
    CHECK_INT(a.preset.arms[0].implementation.precision, PRECISION_FP32);
    app_free(&a);
}

TEST(a_device_skips_and_dims_the_values_it_has_not)
{
    struct app a;
    fixture_open(&a);
    strcpy(a.device.id, "cpu");
    strcpy(a.preset.device, "cpu");
    press(&a, KEY_CODE_RIGHT, 3); /* launch: the cpu is eager alone */
    fixture_keys(&a, " ");
    CHECK_INT(a.preset.arms[0].implementation.launch, LAUNCH_EAGER);
    fixture_keys(&a, "\n");
    check_shows(&a, "not here:");
    app_key(&a, KEY_CODE_DOWN);
    fixture_keys(&a, "\n"); /* refused, the menu stays */
    CHECK(a.dialog != NULL);
    CHECK_INT(a.preset.arms[0].implementation.launch, LAUNCH_EAGER);
    app_free(&a);
}

TEST(arms_are_added_renamed_made_the_baseline_and_removed)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "aoptimized\n");
    CHECK_INT(a.preset.n_arms, 3);
    CHECK_STRING(a.preset.arms[2].name, "optimized-2");
    fixture_keys(&a, "\n");
    press(&a, KEY_CODE_BACKSPACE, 20);
    fixture_keys(&a, "baseline\n");
    CHECK(a.dialog != NULL); /* taken */
    press(&a, KEY_CODE_BACKSPACE, 20);
    fixture_keys(&a, "best\n");
    CHECK_STRING(a.preset.arms[2].name, "best");
    fixture_keys(&a, " ");
    CHECK_STRING(a.preset.arms[0].name, "best");
    CHECK_STRING(a.preset.arms[1].name, "baseline");
    fixture_keys(&a, "d");
    CHECK_INT(a.preset.n_arms, 2);
    fixture_keys(&a, "dd");
    CHECK_INT(a.preset.n_arms, 1);
    CHECK_CONTAINS(a.message, "needs an arm");
    app_free(&a);
}

TEST(sweeps_are_typed_as_lists_and_sorted)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "\t");
    press(&a, KEY_CODE_DOWN, 1);
    fixture_keys(&a, "\n");
    press(&a, KEY_CODE_BACKSPACE, 40);
    fixture_keys(&a, "16, 2 1\n");
    CHECK_INT(a.preset.n_batch, 3);
    CHECK_INT(a.preset.batch[0], 1);
    CHECK_INT(a.preset.batch[2], 16);
    CHECK_INT(a.plan.n_cells, 3);
    fixture_keys(&a, "\n");
    press(&a, KEY_CODE_BACKSPACE, 40);
    fixture_keys(&a, "0\n");
    CHECK(a.dialog != NULL);
    check_shows(&a, "batch: expected whole numbers from 1 to 1024, found 0");
    press(&a, KEY_CODE_BACKSPACE, 40);
    fixture_keys(&a, "1 x\n");
    check_shows(&a, "found \"x\"");
    fixture_keys(&a, "\033");
    CHECK_INT(a.preset.n_batch, 3);
    press(&a, KEY_CODE_RIGHT, 2);
    fixture_keys(&a, "d");
    CHECK_INT(a.preset.n_batch, 2);
    app_free(&a);
}

TEST(fractions_and_times_are_typed_as_people_write_them)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "\t");
    press(&a, KEY_CODE_DOWN, 3); /* rounds, at most, until */
    press(&a, KEY_CODE_RIGHT, 2);
    fixture_keys(&a, "\n");
    press(&a, KEY_CODE_BACKSPACE, 20);
    fixture_keys(&a, "2.5 %\n");
    CHECK_CLOSE(a.preset.half_width, 0.025, 1e-12);
    press(&a, KEY_CODE_DOWN, 1);
    press(&a, KEY_CODE_LEFT, 2);
    fixture_keys(&a, "\n");
    press(&a, KEY_CODE_BACKSPACE, 20);
    fixture_keys(&a, "20 min\n");
    CHECK_CLOSE(a.preset.budget_s, 1200, 1e-12);
    press(&a, KEY_CODE_UP, 1);
    fixture_keys(&a, "\n");
    press(&a, KEY_CODE_BACKSPACE, 20);
    fixture_keys(&a, "-4\n");
    CHECK(a.dialog != NULL);
    fixture_keys(&a, "\033");
    CHECK_INT(a.preset.rounds, 3);
    app_free(&a);
}

TEST(any_field_is_set_by_its_path)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "=criteria.min_speedup=1.3\n");
    CHECK_CLOSE(a.preset.criteria.min_speedup, 1.3, 1e-12);
    CHECK_CONTAINS(a.message, "criteria.min_speedup is 1.3 now");
    fixture_keys(&a, "= margin = 0.02\n");
    CHECK_CLOSE(a.preset.margin, 0.02, 1e-12);
    fixture_keys(&a, "=nonsense=1\n");
    CHECK(a.dialog != NULL);
    fixture_keys(&a, "\033=rounds\n");
    CHECK(a.dialog != NULL);
    fixture_keys(&a, "\033");
    CHECK_INT(a.preset.rounds, 3);
    app_free(&a);
}

TEST(the_last_workload_stays)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "\t");
    press(&a, KEY_CODE_RIGHT, 1);
    fixture_keys(&a, " ");
    CHECK_INT(a.preset.n_workloads, 1);
    CHECK(a.message_is_error);
    press(&a, KEY_CODE_LEFT, 1);
    fixture_keys(&a, " ");
    CHECK_INT(a.preset.n_workloads, 2);
    CHECK_INT(a.preset.workloads[0], WORKLOAD_PREFILL);
    CHECK_INT(a.plan.n_cells, 8);
    app_free(&a);
}

TEST(what_is_too_large_says_by_how_much)
{
    struct app a;
    fixture_open(&a);
    strcpy(a.device.id, "cpu");
    strcpy(a.preset.device, "cpu");
    fixture_keys(&a, "/llama3-70b\n ");
    fixture_keys(&a, "\033");
    if (a.plan.n_unfit > 0)
        check_shows(&a, "too much");
    else
        TEST_FAIL("a 70B model in fp32 fits %lld bytes", (long long)a.plan.memory_free_bytes);
    app_free(&a);
}

TEST(an_arm_that_does_not_run_is_marked_and_the_command_that_mends_it_told)
{
    struct app a;
    fixture_open(&a);
    strcpy(a.device.id, "cpu");
    strcpy(a.preset.device, "cpu");
    fixture_keys(&a, "/llama3.2-1b\n \033");
    strcpy(a.preset.models[0], "llama3.2-1b");
    a.preset.n_models = 1;
    a.preset.arms[1].implementation.sparsity = 0.25;
    a.preset_changed = true;
    fixture_keys(&a, "\033");
    char *text = fixture_draw(&a, 120, 40, false);
    CHECK_CONTAINS(text, "B!");
    CHECK_CONTAINS(text, "does not run: no rotation of llama3.2-1b is known");
    CHECK_CONTAINS(text, "calibrate-larosa llama3.2-1b --seed 42 --text tinyshakespeare` first");
    free(text);
    a.preset.arms[1].implementation.sparsity = 0;
    a.preset_changed = true;
    fixture_keys(&a, "\033");
    text = fixture_draw(&a, 120, 40, false);
    CHECK(!strstr(text, "B!") && !strstr(text, "does not run"));
    free(text);
    app_free(&a);
}

TEST(a_text_its_unit_and_sampling_are_chosen_in_the_sweep)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "\t"); /* the sweep */
    press(&a, KEY_CODE_DOWN, 6);
    free(fixture_draw(&a, 80, 24, false));
    char *text = fixture_draw(&a, 80, 24, false);
    CHECK_CONTAINS(text, "text       random ids"); /* scrolled into view */
    free(text);
    fixture_keys(&a, "\n");
    check_shows(&a, "tinyshakespeare");
    press(&a, KEY_CODE_DOWN, 1);
    fixture_keys(&a, "\n");
    CHECK_STRING(a.preset.text, "tinyshakespeare");
    press(&a, KEY_CODE_RIGHT, 1);
    fixture_keys(&a, " ");
    CHECK_INT(a.preset.texts, TEXTS_LINES);
    press(&a, KEY_CODE_DOWN, 1);
    press(&a, KEY_CODE_LEFT, 2);
    fixture_keys(&a, "\n");
    press(&a, KEY_CODE_BACKSPACE, 8);
    fixture_keys(&a, "0.8\n");
    CHECK(a.preset.sampling.temperature == 0.8);
    check_shows(&a, "sampling   0.8");
    app_free(&a);
}

TEST(a_text_that_cannot_be_read_is_refused_and_random_ids_come_back)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "\t");
    press(&a, KEY_CODE_DOWN, 6);
    strcpy(a.preset.text, "tinyshakespeare");
    fixture_keys(&a, "\n");
    press(&a, KEY_CODE_DOWN, 1);
    fixture_keys(&a, "\n"); /* a file */
    press(&a, KEY_CODE_BACKSPACE, 20);
    fixture_keys(&a, "/nowhere/to/be/found.txt\n");
    check_shows(&a, "cannot be read");
    CHECK_STRING(a.preset.text, "tinyshakespeare");
    fixture_keys(&a, "\033\n");
    press(&a, KEY_CODE_UP, 9);
    fixture_keys(&a, "\n");
    CHECK_STRING(a.preset.text, "");
    app_free(&a);
}

TEST(the_workload_under_the_cursor_is_always_seen)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "\t");
    press(&a, KEY_CODE_RIGHT, WORKLOADS - 1);
    char *text = fixture_draw(&a, 80, 24, false);
    CHECK_CONTAINS(text, "perplexity");
    free(text);
    fixture_keys(&a, " ");
    CHECK_INT(a.preset.workloads[a.preset.n_workloads - 1], WORKLOAD_PERPLEXITY);
    fixture_keys(&a, "\t"); /* without the cursor the chosen ones are seen */
    text = fixture_draw(&a, 80, 24, false);
    CHECK_CONTAINS(text, "\xe2\x97\x8f decode");
    free(text);
    app_free(&a);
}

TEST(model_files_in_the_home_are_found_and_adapted_vocabularies_offered)
{
    struct app a;
    char path[160];
    fixture_environment();
    snprintf(path, sizeof path, "%s/models", fixture_home);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/models/tiny.gguf", fixture_home);
    FILE *f = fopen(path, "wb");
    if (!f || fputs("no GGUF file", f) < 0 || fclose(f) != 0)
        TEST_FAIL("%s cannot be written", path);
    fixture_open(&a);
    fixture_keys(&a, "/tiny\n");
    check_shows(&a, "~/models/tiny.gguf");
    fixture_keys(&a, " "); /* what is wrong with it is said */
    CHECK_STRING(a.preset.models[1], path);
    CHECK(a.message[0]);
    fixture_keys(&a, " \033\t"); /* the arms */
    press(&a, KEY_CODE_RIGHT, 8);
    fixture_keys(&a, "\n");
    check_shows(&a, "output not equivalent");
    press(&a, KEY_CODE_DOWN, 1);
    fixture_keys(&a, "\n");
    CHECK_STRING(a.preset.arms[0].implementation.vocabulary, "shakespeare-gpt-2");
    app_free(&a);
    unlink(path);
}
