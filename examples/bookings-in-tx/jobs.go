package main

import (
	"context"
	"database/sql"
	"log/slog"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivermigrate"
)

// mail is a job: to send a mail once its transaction has committed. It has no data of the
// customer.
type mail struct {
	About    string `json:"about"` // lesson or warning
	ID       string `json:"id"`
	Template string `json:"template"`
}

// Kind is the job's type in River's table.
func (mail) Kind() string { return "mail" }

type mailer struct {
	river.WorkerDefaults[mail]
	send func(context.Context, mail) error
}

// Work may send a mail twice, because River repeats a job whose worker fails or dies; no
// committed job is lost.
func (m *mailer) Work(ctx context.Context, job *river.Job[mail]) error { return m.send(ctx, job.Args) }

// newQueue creates River's tables. With lib/pq, which cannot listen, River polls each
// second.
func newQueue(ctx context.Context, db *sql.DB, send func(context.Context, mail) error) (*river.Client[*sql.Tx], error) {
	driver := riverdatabasesql.New(db)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &mailer{send: send})
	return river.NewClient(driver, &river.Config{
		Logger:  slog.Default(),
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 4}},
		Workers: workers,
	})
}
