#define _GNU_SOURCE /* sched_getaffinity */
#include "engine/device.h"

#include "engine/device_file.h"
#include "tests/test.h"
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

/* An own cache folder, so that tests neither read nor write the user's. */
static void own_cache(void)
{
    snprintf(folder, sizeof folder, "build/device-cache-%ld", (long)getpid());
    char *here = getcwd(NULL, 0), path[4200];
    snprintf(path, sizeof path, "%s/%s", here, folder);
    free(here);
    mkdir(folder, 0777);
    setenv("XDG_CACHE_HOME", path, 1);
}

static void drop_cache(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/benchtop/device", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/benchtop", folder);
    rmdir(path);
    rmdir(folder);
}

TEST(the_cpu_is_described)
{
    struct device d;
    struct error e = {0};
    own_cache();
    CHECK_INT(device_find("cpu", &d, &e), 0);
    CHECK_STRING(d.id, "cpu");
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    CHECK_INT(d.environment.cores, CPU_COUNT(&set));
    CHECK(d.environment.cpu[0]);
    CHECK(d.environment.host[0]);
    CHECK_CONTAINS(d.environment.kernel, "Linux");
    CHECK_CONTAINS(d.title, "GiB");
    CHECK_CONTAINS(d.title, "core");
    CHECK(d.memory_free_bytes > 0 && d.memory_free_bytes <= d.memory_bytes);
    CHECK_INT(d.environment.memory_bytes, d.memory_bytes);
    CHECK_STRING(d.environment.gpu_json, "[]");
    drop_cache();
}

TEST(ceilings_are_estimates_until_they_were_measured)
{
    struct device d;
    struct error e = {0};
    own_cache();
    CHECK_INT(device_find("cpu", &d, &e), 0);
    CHECK(!d.measured);
    CHECK(d.read_bandwidth > 1e9 && d.read_bandwidth < 1e12);
    CHECK(d.product_rate[0] > 1e9);
    CHECK_CLOSE(d.environment.read_bandwidth, 0, 0); /* a session holds no estimate */
    drop_cache();
}

TEST(a_cache_folder_is_made_with_every_folder_above_it)
{
    struct error e = {0};
    char path[600], temporary[] = "/tmp/benchtop-cache-XXXXXX", wanted[64], small[20];
    CHECK(mkdtemp(temporary));
    snprintf(wanted, sizeof wanted, "%s/not/yet/there", temporary);
    setenv("XDG_CACHE_HOME", wanted, 1);
    CHECK_INT(device_file_cache(path, sizeof path, "", false, &e), 0);
    CHECK(access(wanted, F_OK) != 0);
    CHECK_INT(device_file_cache(path, sizeof path, "", true, &e), 0);
    CHECK_INT(device_file_write(path, "x", &e), 0);
    CHECK_INT(device_file_cache(small, sizeof small, "", true, &e), -1);
    CHECK_CONTAINS(e.text, "too long");
    unlink(path);
    for (char *slash = strrchr(path, '/'); strlen(path) >= strlen(temporary); slash = strrchr(path, '/')) {
        *slash = '\0';
        rmdir(path);
    }
    CHECK(access(temporary, F_OK) != 0);
    unsetenv("XDG_CACHE_HOME");
}

TEST(ceilings_of_this_machine_are_read_back_and_those_of_another_are_not)
{
    struct device d;
    struct error e = {0};
    char path[600], text[512];
    own_cache();
    CHECK_INT(device_find("cpu", &d, &e), 0);
    CHECK_INT(device_file_cache(path, sizeof path, "", true, &e), 0);
    snprintf(
        text, sizeof text,
        "machine %s, %d cores\nothers 0.01\nread_bandwidth 4.5e10\nproduct_fp32 4.87e11\nproduct_fp16 4e11\n"
        "product_bf16 9.65e11\nproduct_int8 3e11\n",
        d.environment.cpu, d.environment.cores);
    CHECK_INT(device_file_write(path, text, &e), 0);
    CHECK_INT(device_find("cpu", &d, &e), 0);
    CHECK(d.measured);
    CHECK_CLOSE(d.read_bandwidth, 4.5e10, 1e-12);
    CHECK_CLOSE(d.environment.product_rate[2], 9.65e11, 1e-12);
    CHECK_CLOSE(d.environment.read_bandwidth, 4.5e10, 1e-12);
    char *others = strstr(
        text, "0.01"); /* the same, taken on a busy machine: good for plans, no ceiling for a session */
    memcpy(others, "0.29", 4);
    CHECK_INT(device_file_write(path, text, &e), 0);
    CHECK_INT(device_find("cpu", &d, &e), 0);
    CHECK(d.measured);
    CHECK_CLOSE(d.read_bandwidth, 4.5e10, 1e-12);
    CHECK(d.environment.read_bandwidth == 0 && d.environment.product_rate[2] == 0);
    snprintf(text, sizeof text, "machine another processor, 64 cores\nothers 0\nread_bandwidth 4.5e11\n");
    CHECK_INT(device_file_write(path, text, &e), 0);
    CHECK_INT(device_find("cpu", &d, &e), 0);
    CHECK(!d.measured);
    drop_cache();
}

TEST(a_damaged_cache_is_no_measurement)
{
    static const char *const bodies[] = {"", "read_bandwidth 1e10\n",
                                         "others 0\nread_bandwidth -1\nproduct_fp32 1\n",
                                         "others 0\nread_bandwidth nan\nproduct_fp32 1e9\nproduct_fp16 1e9\n"
                                         "product_bf16 1e9\nproduct_int8 1e9\n",
                                         "others 0\nread_bandwidth 1e10\nproduct_fp32 inf\n"};
    struct device d;
    struct error e = {0};
    char path[600], text[512];
    own_cache();
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        CHECK_INT(device_find("cpu", &d, &e), 0);
        CHECK_INT(device_file_cache(path, sizeof path, "", true, &e), 0);
        snprintf(text, sizeof text, "machine %s, %d cores\n%s", d.environment.cpu, d.environment.cores,
                 bodies[i]);
        CHECK_INT(device_file_write(path, text, &e), 0);
        CHECK_INT(device_find("cpu", &d, &e), 0);
        CHECK(!d.measured);
    }
    drop_cache();
}

TEST(devices_that_are_not_there_are_refused_in_words)
{
    struct device d = {.id = "untouched"};
    struct error e = {0};
    CHECK_INT(device_find("cuda:3", &d, &e), -1);
    CHECK_INT(e.kind, ERROR_USAGE);
    CHECK_CONTAINS(e.text, "cuda:3");
    CHECK_CONTAINS(e.text, "choose cpu");
    CHECK_INT(device_find("tpu", &d, &e), -1);
    CHECK_CONTAINS(e.text, "\"tpu\"");
    CHECK_STRING(d.id, "untouched");
}

TEST(the_fake_device_has_no_ceilings_to_measure)
{
    struct device d;
    struct error e = {0};
    CHECK_INT(device_find("fake", &d, &e), 0);
    CHECK_INT(device_measure(&d, &e), -1);
    CHECK_INT(e.kind, ERROR_UNSUPPORTED);
}

TEST(findings_name_what_a_user_may_miss)
{
    static const char *const names[] = {"build",    "processor",     "memory",     "ceilings", "vector units",
                                        "products", "clock control", "huge pages", "nvcc"};
    struct device_finding f[32];
    own_cache();
    int n = device_findings(f, 32);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int found = 0;
        for (int k = 0; k < n; k++)
            if (strcmp(f[k].what, names[i]) == 0) {
                found++;
                CHECK(f[k].found[0]);
                CHECK(f[k].means[0]);
            }
        if (found != 1)
            TEST_FAIL("\"%s\" is found %d times", names[i], found);
    }
    char gpu[4][16], why[256];
    int gpus = device_gpus(gpu, 4, why, sizeof why), said = 0;
    for (int k = 0; k < n; k++)
        said += gpus > 0 ? strcmp(f[k].what, gpu[0]) == 0 : strcmp(f[k].what, "cuda") == 0 && !f[k].ok;
    CHECK_INT(said, 1);
    CHECK_INT(device_findings(f, 3), 3);
    drop_cache();
}

TEST(fields_of_small_files_are_found_by_their_whole_key)
{
    char path[64], out[32];
    struct error e = {0};
    snprintf(path, sizeof path, "build/fields-%ld", (long)getpid());
    CHECK_INT(device_file_write(path, "model name\t: A B\nkeyword 9\nkey 7\nname=\"x y\"\n", &e), 0);
    CHECK(device_file_field(path, "model name", ':', out, sizeof out));
    CHECK_STRING(out, "A B");
    CHECK(device_file_field(path, "key", ' ', out, sizeof out));
    CHECK_STRING(out, "7");
    CHECK(device_file_field(path, "name", '=', out, sizeof out));
    CHECK_STRING(out, "x y");
    CHECK(!device_file_field(path, "other", ' ', out, sizeof out));
    CHECK(device_file_line(path, out, sizeof out));
    CHECK_STRING(out, "model name\t: A B");
    unlink(path);
    CHECK_INT(device_file_write("build/no/such/place", "x", &e), -1);
    CHECK_CONTAINS(e.text, "build/no/such/place");
}
