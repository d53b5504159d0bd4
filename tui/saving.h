/* Dialogs and jobs around files and the device: save and load presets, export a session, measure the device.
 * Every wait shows progress and can be cancelled. UI thread only. */
#pragma once

#include "tui/app.h"

void saving_save_preset(struct app *a); /* of Setup; in Results that of the session shown */
void saving_load_preset(struct app *a);
void saving_export(struct app *a, const char *session_path, const char *id);
void saving_measure_device(struct app *a);
