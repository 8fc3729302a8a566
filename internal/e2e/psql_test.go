package e2e

import (
	"database/sql"
	"fmt"
	"io"
	"os"
	"strings"

	_ "github.com/lib/pq"
)

// beSQL replaces psql: it prints the result of the statement in RUNBOOK_SQL and exits.
// Without a statement it does nothing.
func beSQL() {
	query := os.Getenv("RUNBOOK_SQL")
	if query == "" {
		return
	}
	if err := printAnswer(os.Stdout, os.Getenv("RUNBOOK_DATABASE"), query); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func printAnswer(out io.Writer, database, query string) error {
	db, err := sql.Open("postgres", database)
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	fmt.Fprintln(out, strings.Join(columns, " | "))
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return err
		}
		texts := make([]string, len(columns))
		for i, v := range values {
			texts[i] = text(*v.(*any))
		}
		fmt.Fprintln(out, strings.Join(texts, " | "))
	}
	return rows.Err()
}

// text formats a value as psql does.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		return map[bool]string{true: "t", false: "f"}[v]
	case []byte:
		return string(v)
	}
	return fmt.Sprint(v)
}
