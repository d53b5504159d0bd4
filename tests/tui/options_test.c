#include "presets/catalog.h"
#include "tests/test.h"
#include "tui/manual.h"
#include "tui/options.h"

enum { WORDS = 32 };

/* "benchtop" and the blank-separated words of `line`. */
static int parse(const char *line, struct request *r, struct error *e)
{
    static char text[4096];
    static char *argv[WORDS + 2];
    int argc = 0;
    memset(e, 0, sizeof *e);
    static char program[] = "benchtop";
    argv[argc++] = program;
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " "); word && argc <= WORDS; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return options_parse(argc, argv, r, e);
}

/* Before any test: the catalog of this tree, whatever the machine has. */
__attribute__((constructor)) static void use_own_catalog(void)
{
    setenv("BENCHTOP_CATALOG", "presets", 1);
}

/* A preset of the catalog with the overrides of `line`. */
static int overridden(const char *line, struct preset *p, struct error *e)
{
    struct request r;
    memset(p, 0, sizeof *p);
    if (catalog_preset("quick", p, NULL, e) < 0 || parse(line, &r, e) < 0)
        return -1;
    return options_apply(&r, p, e);
}

static char *help_text(enum command_id command)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    manual_help(out, command);
    fclose(out);
    return text;
}

static char *completions(int n, const char *const *words)
{
    char *text = NULL, *copy[WORDS];
    size_t size;
    FILE *out = open_memstream(&text, &size);
    for (int i = 0; i < n; i++)
        copy[i] = strdup(words[i]);
    manual_complete(out, n, copy);
    for (int i = 0; i < n; i++)
        free(copy[i]);
    fclose(out);
    return text;
}

TEST(no_words_start_the_interface)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("", &r, &e), 0);
    CHECK_INT(r.command, COMMAND_TUI);
    CHECK_INT(r.n_operands, 0);
    CHECK(isnan(r.regression_pct));
}

TEST(a_word_that_is_no_command_is_a_preset_for_the_interface)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("kv-cache --ascii", &r, &e), 0);
    CHECK_INT(r.command, COMMAND_TUI);
    CHECK_STRING(r.operand[0], "kv-cache");
    CHECK(r.ascii);
}

TEST(every_command_is_found_by_its_name)
{
    for (int i = 0; i < COMMANDS; i++) {
        const struct command_info *c = &options_commands[i];
        CHECK_INT(c->id, i);
        if (*c->name)
            CHECK(options_command(c->name) == c);
        CHECK(c->help && *c->help && c->detail && *c->detail && c->min <= c->max);
    }
}

TEST(every_option_has_one_effect_a_help_and_a_command)
{
    for (int i = 0; i < options_count; i++) {
        const struct option_info *o = &options_table[i];
        CHECK(!o->set != !o->apply);
        CHECK(o->help && *o->help);
        CHECK(o->commands);
        CHECK(!strncmp(o->name, "--", 2));
        for (int j = 0; j < i;
             j++) { /* a name may have several rows, each for other commands, alike in arity */
            const struct option_info *other = &options_table[j];
            if (strcmp(o->name, other->name))
                continue;
            CHECK(!o->argument == !other->argument);
            CHECK_INT(o->commands & other->commands, 0);
        }
    }
}

TEST(every_option_is_accepted_by_each_of_its_commands_and_refused_by_the_others)
{
    for (int i = 0; i < options_count; i++) {
        const struct option_info *o = &options_table[i];
        for (int c = 0; c < COMMANDS; c++) {
            static char program[] = "benchtop", word[] = "x", value[] = "0";
            char *argv[8] = {program};
            char name[64];
            int argc = 1;
            struct request r;
            struct error e = {0};
            if (*options_commands[c].name)
                argv[argc++] = (char *)(uintptr_t)options_commands[c].name;
            for (int k = 0; k < options_commands[c].min || (c == COMMAND_RUN && k < 1); k++)
                argv[argc++] = word;
            snprintf(name, sizeof name, "%s", o->name);
            argv[argc++] = name;
            if (o->argument)
                argv[argc++] = value;
            const struct option_info *row = options_find(o->name, strlen(o->name), (enum command_id)c);
            bool mine = row->commands >> c & 1;
            int result = options_parse(argc, argv, &r, &e);
            if (!strcmp(o->name, "--color") && mine)
                continue; /* "0" is no color; its words have a test of their own */
            if (mine && result < 0)
                TEST_FAIL("%s %s: %s", options_commands[c].name, o->name, e.text);
            if (!mine && (result == 0 || e.kind != ERROR_USAGE || !strstr(e.text, o->name)))
                TEST_FAIL("%s took %s, or did not say why not: %s", options_commands[c].name, o->name,
                          e.text);
        }
    }
}

TEST(values_may_follow_an_equals_sign)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("run quick --out=s.json --batch=1,8", &r, &e), 0);
    CHECK_STRING(r.out, "s.json");
    CHECK_INT(r.n_uses, 2);
    CHECK_STRING(r.use[1].value, "1,8");
}

TEST(options_may_stand_before_the_command)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("--out s.json --quiet run quick", &r, &e), 0);
    CHECK_INT(r.command, COMMAND_RUN);
    CHECK_STRING(r.operand[0], "quick");
    CHECK_STRING(r.out, "s.json");
    CHECK(r.quiet);
}

TEST(of_an_option_given_twice_the_last_counts)
{
    struct preset p;
    struct request r;
    struct error e = {0};
    CHECK_INT(parse("run quick --out a --out b", &r, &e), 0);
    CHECK_STRING(r.out, "b");
    CHECK_INT(overridden("run quick --batch 1,2 --batch 4", &p, &e), 0);
    CHECK_INT(p.n_batch, 1);
    CHECK_INT(p.batch[0], 4);
    preset_free(&p);
}

TEST(two_dashes_end_the_options)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("show -- --strange", &r, &e), 0);
    CHECK_STRING(r.operand[0], "--strange");
}

TEST(letters_stand_for_their_options)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("run quick -q -o s.json", &r, &e), 0);
    CHECK(r.quiet);
    CHECK_STRING(r.out, "s.json");
    CHECK_INT(parse("-V", &r, &e), 0);
    CHECK(r.version);
    CHECK_INT(parse("run -h", &r, &e), 0);
    CHECK(r.help);
    CHECK_INT(r.command, COMMAND_RUN);
}

TEST(help_wins_over_everything_that_is_wrong)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("run --nonsense --help", &r, &e), 0);
    CHECK(r.help);
}

TEST(unknown_options_name_the_nearest)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("run quick --bacth 1", &r, &e), -1);
    CHECK_INT(e.kind, ERROR_USAGE);
    CHECK_CONTAINS(e.text, "--bacth");
    CHECK_CONTAINS(e.text, "--batch");
}

TEST(options_of_another_command_say_whose_they_are)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("show s.json --to md", &r, &e), -1);
    CHECK_CONTAINS(e.text, "`benchtop export`");
}

TEST(misspelled_commands_name_the_nearest)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("rnu quick", &r, &e), -1);
    CHECK_INT(e.kind, ERROR_USAGE);
    CHECK_CONTAINS(e.text, "rnu");
    CHECK_CONTAINS(e.text, "run");
}

TEST(missing_and_surplus_words_are_told)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("compare one.json", &r, &e), -1);
    CHECK_CONTAINS(e.text, "BASE NEW");
    CHECK_INT(parse("show one two", &r, &e), -1);
    CHECK_CONTAINS(e.text, "two");
    CHECK_INT(parse("run", &r, &e), -1);
    CHECK_CONTAINS(e.text, "--resume");
    CHECK_INT(parse("run --resume s.json", &r, &e), 0);
    CHECK_STRING(r.resume, "s.json");
}

TEST(options_without_their_value_are_told)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("run quick --out", &r, &e), -1);
    CHECK_CONTAINS(e.text, "--out FILE");
    CHECK_INT(parse("run quick --out --json", &r, &e), -1);
    CHECK_CONTAINS(e.text, "--out FILE");
    CHECK_INT(parse("run quick --json=yes", &r, &e), -1);
    CHECK_CONTAINS(e.text, "--json");
}

TEST(several_mistakes_of_a_line_are_told_at_once)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("run quick --bacth 1 --to md --out", &r, &e), -1);
    CHECK_CONTAINS(e.text, "--bacth");
    CHECK_CONTAINS(e.text, "--to");
    CHECK_CONTAINS(e.text, "--out");
}

TEST(regression_limits_are_percentages)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("compare a b --fail-on-regression 2.5", &r, &e), 0);
    CHECK_CLOSE(r.regression_pct, 2.5, 0);
    CHECK_INT(parse("compare a b --fail-on-regression 5%", &r, &e), 0);
    CHECK_CLOSE(r.regression_pct, 5.0, 0);
    CHECK_INT(parse("compare a b --fail-on-regression -1", &r, &e), -1);
    CHECK_INT(parse("compare a b --fail-on-regression much", &r, &e), -1);
    CHECK_CONTAINS(e.text, "much");
    CHECK_INT(parse("compare a b --fail-on-regression nan", &r, &e), -1);
}

TEST(colors_are_words)
{
    struct request r;
    struct error e;
    CHECK_INT(parse("--color never", &r, &e), 0);
    CHECK_INT(r.color, REQUEST_COLOR_NEVER);
    CHECK_INT(parse("--color pink", &r, &e), -1);
    CHECK_CONTAINS(e.text, "auto, never or always");
}

TEST(overrides_change_the_preset)
{
    struct preset p;
    struct error e = {0};
    CHECK_INT(
        overridden("run quick --device fake --model gpt2-124m --model llama-7b --batch 1,8 --seq 16,32,64 "
                   "--workload decode,prefill --runs 7 --max-rounds 9 --seed 0x10 --tokens 5 --threads 3 "
                   "--budget 2m",
                   &p, &e),
        0);
    CHECK_STRING(p.device, "fake");
    CHECK_INT(p.n_models, 2);
    CHECK_STRING(p.models[1], "llama-7b");
    CHECK_INT(p.n_batch, 2);
    CHECK_INT(p.batch[1], 8);
    CHECK_INT(p.n_seq, 3);
    CHECK_INT(p.seq[2], 64);
    CHECK_INT(p.n_workloads, 2);
    CHECK_INT(p.workloads[0], WORKLOAD_DECODE);
    CHECK_INT(p.rounds, 7);
    CHECK_INT(p.max_rounds, 9);
    CHECK_INT(p.seed, 16);
    CHECK_INT(p.tokens, 5);
    CHECK_INT(p.threads, 3);
    CHECK_CLOSE(p.budget_s, 120.0, 0);
    preset_free(&p);
}

TEST(arms_replace_the_presets_arms_and_precision_reaches_all_of_them)
{
    struct preset p;
    struct error e = {0};
    CHECK_INT(
        overridden("run quick --precision bf16 --arm baseline --arm mine=of:fused,attention:flash", &p, &e),
        0);
    CHECK_INT(p.n_arms, 2);
    if (p.n_arms == 2) {
        CHECK_STRING(p.arms[0].name, "baseline");
        CHECK_STRING(p.arms[1].name, "mine");
        CHECK_INT(p.arms[0].implementation.precision, PRECISION_BF16);
        CHECK_INT(p.arms[1].implementation.precision, PRECISION_BF16);
        CHECK_INT(p.arms[1].implementation.attention, ATTENTION_FLASH);
    }
    preset_free(&p);
}

TEST(set_has_the_last_word)
{
    struct preset p;
    struct error e = {0};
    CHECK_INT(overridden("run quick --set criteria.min_speedup=1.3 --set seed=5 --seed 4", &p, &e), 0);
    CHECK_CLOSE(p.criteria.min_speedup, 1.3, 1e-15);
    CHECK_INT(p.seed, 5);
    preset_free(&p);
}

TEST(no_time_to_spend_and_no_limit_are_both_said_with_a_zero)
{
    struct preset p;
    struct error e = {0};
    CHECK_INT(overridden("run quick --budget 90 --time 5m", &p, &e), 0);
    CHECK(p.time_budget_s == 300);
    preset_free(&p);
    CHECK_INT(overridden("run quick --budget 0 --time 5m --time 0", &p, &e), 0);
    CHECK(p.time_budget_s == 0);
    CHECK(p.budget_s == 0);
    preset_free(&p);
}

TEST(more_runs_than_the_presets_cap_raise_the_cap)
{
    struct preset p;
    struct error e = {0};
    CHECK_INT(overridden("run quick --runs 5000", &p, &e), 0);
    CHECK_INT(p.rounds, 5000);
    CHECK(p.max_rounds >= 5000);
    preset_free(&p);
}

TEST(impossible_values_are_told_in_one_message)
{
    struct preset p;
    struct error e = {0};
    CHECK_INT(
        overridden("run quick --batch x --seq 1,,2 --runs many --seed -3 --budget soon --workload decod "
                   "--precision fp17 --set seed --arm nonsuch",
                   &p, &e),
        -1);
    CHECK_INT(e.kind, ERROR_USAGE);
    CHECK_CONTAINS(e.text, "--batch x");
    CHECK_CONTAINS(e.text, "--seq 1,,2");
    CHECK_CONTAINS(e.text, "--runs many");
    CHECK_CONTAINS(e.text, "--seed -3");
    CHECK_CONTAINS(e.text, "--budget soon");
    CHECK_CONTAINS(e.text, "did you mean decode");
    CHECK_CONTAINS(e.text, "fp16");
    CHECK_CONTAINS(e.text, "--set seed");
    CHECK_CONTAINS(e.text, "nonsuch");
    preset_free(&p);
}

TEST(numbers_beyond_an_int_are_refused_not_wrapped)
{
    struct preset p;
    struct error e = {0};
    CHECK_INT(overridden("run quick --batch 4294967297", &p, &e), -1);
    preset_free(&p);
    CHECK_INT(overridden("run quick --seed 18446744073709551616", &p, &e), -1);
    preset_free(&p);
}

TEST(longer_lists_than_a_sweep_holds_are_refused)
{
    struct preset p;
    struct error e = {0};
    char line[512] = "run quick --batch 1";
    for (int i = 0; i < PRESET_SWEEP; i++)
        strcat(line, ",2");
    CHECK_INT(overridden(line, &p, &e), -1);
    CHECK_CONTAINS(e.text, "--batch");
    preset_free(&p);
}

TEST(help_mentions_every_command_option_and_exit_code)
{
    char *text = help_text(COMMAND_TUI);
    for (int i = 0; i < COMMANDS; i++)
        if (!options_commands[i].hidden && *options_commands[i].name)
            CHECK_CONTAINS(text, options_commands[i].name);
    for (int i = 0; i < options_count; i++)
        CHECK_CONTAINS(text, options_table[i].name);
    CHECK_CONTAINS(text, "130");
    free(text);
}

TEST(help_of_a_command_mentions_its_options_and_no_others)
{
    for (int c = COMMAND_TUI + 1; c < COMMANDS; c++) {
        char *text = help_text((enum command_id)c);
        CHECK_CONTAINS(text, options_commands[c].name);
        for (int i = 0; i < options_count; i++) {
            const struct option_info *row =
                options_find(options_table[i].name, strlen(options_table[i].name), (enum command_id)c);
            if (row->commands >> c & 1)
                CHECK_CONTAINS(text, options_table[i].name);
        }
        CHECK(strcmp(options_commands[c].name, "show") || !strstr(text, "--batch"));
        free(text);
    }
}

TEST(help_lines_fit_a_terminal_of_eighty_columns)
{
    for (int c = 0; c < COMMANDS; c++) {
        char *text = help_text((enum command_id)c);
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            if (strlen(line) > 80)
                TEST_FAIL("%zu columns: %s", strlen(line), line);
        free(text);
    }
}

TEST(the_man_page_mentions_every_command_option_and_axis)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    manual_roff(out);
    fclose(out);
    CHECK(!strncmp(text, ".TH BENCHTOP 1", 14));
    for (int i = 0; i < options_count; i++) {
        char name[64] = "";
        for (const char *s = options_table[i].name; *s; s++)
            snprintf(name + strlen(name), sizeof name - strlen(name), *s == '-' ? "\\-" : "%c", *s);
        CHECK_CONTAINS(text, name);
    }
    for (int i = 0; i < implementation_n_axes; i++)
        CHECK_CONTAINS(text, implementation_axes[i].name);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        if (*line == '.' && !strstr(" .TH .SH .TP .br ", (char[]){line[0], line[1], line[2], '\0'}))
            TEST_FAIL("not a request that was meant: %s", line);
    free(text);
}

TEST(completion_offers_what_may_follow)
{
    char *text = completions(1, (const char *const[]){"ru"});
    CHECK_STRING(text, "run\n");
    free(text);
    text = completions(2, (const char *const[]){"run", "quic"});
    CHECK_STRING(text, "quick\n");
    free(text);
    text = completions(3, (const char *const[]){"run", "quick", "--preci"});
    CHECK_STRING(text, "--precision\n");
    free(text);
    text = completions(4, (const char *const[]){"run", "quick", "--model", "gpt2-124"});
    CHECK_STRING(text, "gpt2-124m\n");
    free(text);
    text = completions(4, (const char *const[]){"run", "quick", "--arm", "base=atte"});
    CHECK_STRING(text, "base=attention:\n");
    free(text);
    text = completions(4, (const char *const[]){"run", "quick", "--arm", "x=launch:eager,attention:flash3"});
    CHECK_STRING(text, "x=launch:eager,attention:flash3\n");
    free(text);
    text = completions(4, (const char *const[]){"export", "s.json", "--to", "llama"});
    CHECK_STRING(text, "llama-bench\n");
    free(text);
    text = completions(2, (const char *const[]){"list", "mod"});
    CHECK_STRING(text, "models\n");
    free(text);
    text = completions(3, (const char *const[]){"show", "s.json", ""});
    CHECK_STRING(text, "");
    free(text);
}
