package pgtest

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/booking-platform/booking-platform/migrations"
)

func Candidates(forced string, withURL bool) ([]string, error) {
	all, err := candidates(forced, withURL)
	var names []string
	for _, w := range all {
		names = append(names, w.name)
	}
	return names, err
}

// Begin tries ways that fail with the errors, nil for one that works.
func Begin(errs ...error) (string, error) {
	var all []way
	for i, err := range errs {
		all = append(all, way{fmt.Sprintf("way %d", i), func(context.Context) (*server, error) {
			return &server{by: fmt.Sprintf("way %d", i)}, err
		}})
	}
	s, err := begin(context.Background(), all)
	if err != nil {
		return "", err
	}
	return s.by, nil
}

// Hold is a test binary with a template and a copy. It prints the prefix of their names
// and runs until the end of its input.
type Hold struct{}

func (Hold) Run() int {
	s, err := shared()
	if err == nil {
		var template string
		if template, err = s.makeTemplate(&Template{Sets: migrations.Webhook}); err == nil {
			err = s.create(context.Background(), s.run+"held", template)
		}
	}
	if err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	fmt.Println(s.run)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

var ClusterFolder = clusterFolder
