package main

import (
	"context"
	"database/sql"
	"log/slog"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivermigrate"
)

// mail is a job: to send a mail once the transaction that wrote the job has committed. It
// names what the mail is about, and has no data of the customer.
type mail struct {
	About    string `json:"about"` // lesson or warning
	ID       string `json:"id"`
	Template string `json:"template"`
}

// Kind is the name of the job's type in River's table.
func (mail) Kind() string { return "mail" }

type mailer struct {
	river.WorkerDefaults[mail]
	send func(context.Context, mail) error
}

// Work sends a mail. River repeats a job whose worker fails or dies, so a mail can be
// sent twice; no committed job is lost.
func (m *mailer) Work(ctx context.Context, job *river.Job[mail]) error { return m.send(ctx, job.Args) }

// newQueue creates River's tables and returns its client. A *sql.DB of lib/pq cannot
// listen, so River polls each second.
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
