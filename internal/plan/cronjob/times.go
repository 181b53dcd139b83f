package cronjob

import (
	"errors"
	"time"

	batchv1 "k8s.io/api/batch/v1"
)

// Schedule says when the next time after another is.
type Schedule interface {
	Next(time.Time) time.Time
}

const (
	// lateness is added to the time of the next look: clocks are not the same.
	lateness = 100 * time.Millisecond
	// manyMissed is more than a weekend's worth of an hourly schedule.
	manyMissed = 100
)

var errTooDense = errors.New("time difference between two schedules is less than 1 second")

// due is the last time not after now at which a job was to start, since the last
// that did, the creation, or the deadline; missed is how many there were, about.
type due struct {
	since  time.Time
	at     time.Time // zero when there is none
	missed int64
}

func lastDue(c *batchv1.CronJob, schedule Schedule, now time.Time, withDeadline bool) (due, error) {
	d := due{since: c.CreationTimestamp.Time}
	if last := c.Status.LastScheduleTime; last != nil {
		d.since = last.Time
	}
	if limit := c.Spec.StartingDeadlineSeconds; withDeadline && limit != nil {
		if earliest := now.Add(-time.Duration(*limit) * time.Second); earliest.After(d.since) {
			d.since = earliest
		}
	}
	first := schedule.Next(d.since)
	second := schedule.Next(first)
	switch {
	case now.Before(first):
		return d, nil
	case now.Before(second):
		d.at = first
		return d, nil
	}
	// A schedule that never comes, such as February 31st, ends up here.
	gap := int64(second.Sub(first).Round(time.Second) / time.Second)
	if gap < 1 {
		return d, errTooDense
	}
	// Most of the missed times are jumped over, the last few are walked.
	d.missed = int64(now.Sub(first)/time.Second)/gap + 1
	for t := schedule.Next(first.Add(time.Duration((d.missed-2)*gap) * time.Second)); !t.After(now); t = schedule.Next(t) {
		d.at = t
	}
	return d, nil
}

// untilNext is how long it is until the next time.
func untilNext(c *batchv1.CronJob, schedule Schedule, now time.Time) time.Duration {
	d, err := lastDue(c, schedule, now, false)
	from := d.at
	switch {
	case err != nil || d.at.IsZero() && d.missed > 0:
		from = now
	case d.at.IsZero():
		from = d.since
	}
	return schedule.Next(from).Add(lateness).Sub(now)
}
