#include "stats/stats.h"
#include "tui/command.h"
#include "tui/output.h"
#include <locale.h>

int main(int argc, char **argv)
{
    output_init();
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C"); /* files and tables have points, whatever the country */
    stats_init();
    return command_main(argc, argv);
}
