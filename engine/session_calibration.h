/* A/A calibration: the baseline measured against itself says how small a difference this machine can show,
 * cell by cell. Kept in $XDG_DATA_HOME/benchtop/calibration/HOST.json, one entry per device, number of
 * threads, cell, process mode and implementation of the baseline; a later calibration of the same replaces
 * it. A machine without a calibration is no error. Any thread; the file is written whole (temp, fsync,
 * rename). */
#pragma once

#include "engine/session.h"

#define CALIBRATION_POWER 0.8 /* at which the smallest difference is told */

/* The preset whose arms are its baseline twice, both with the baseline's fake law; the rounds are as planned,
 * and what judges candidates (criteria, design) is gone. */
int calibration_preset(const struct preset *p, struct preset *out, struct error *e);
/* What an A/A session says of a cell; false: too few rounds, no variance. */
bool calibration_of(const struct session *s, int cell, struct session_calibration *out);
/* Adds every cell of an A/A session to the file; returns how many, -1 on error. path (may be NULL): the file.
 */
int calibration_store(const struct session *s, char *path, size_t size, struct error *e);
/* Fills the calibration of every cell from the file; cells without an entry stay without. */
void calibration_attach(struct session *s);
