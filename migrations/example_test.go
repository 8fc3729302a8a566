package migrations_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"

	"github.com/booking-platform/booking-platform/migrations"
)

// A service that embeds package webhook alone creates the ledger before it serves, on any
// number of replicas at once.
func ExampleUp() {
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	applied, err := migrations.Up(context.Background(), db, migrations.Webhook)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range applied {
		fmt.Println("applied", m.File)
	}
}
