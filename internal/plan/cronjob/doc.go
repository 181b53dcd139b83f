// Package cronjob decides when a CronJob starts a Job, which of its finished
// Jobs it deletes, and what its status says.
//
// A Job is named after the minute it is due in, so it cannot be made twice. Of
// the times that were missed only the last is made up for, and only within
// spec.startingDeadlineSeconds. Times before a change of the schedule are not.
package cronjob
