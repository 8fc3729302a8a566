package testdb

import (
	"context"
	"log/slog"
	"os"

	"github.com/booking-platform/booking-platform/internal/embedded"
)

func byPrograms(ctx context.Context) (*server, error) { return byEmbedded(ctx, embedded.Machine) }

func byFetched(ctx context.Context) (*server, error) { return byEmbedded(ctx, embedded.Fetched) }

func byEmbedded(ctx context.Context, source embedded.Source) (*server, error) {
	dir, described, err := clusterFolder(memoryFolder, freeMemory)
	if err != nil {
		return nil, err
	}
	// The server removes the folder when it stops, and Start when it fails.
	s, err := embedded.Start(ctx, dir, embedded.Options{
		Ephemeral:  true,
		Programs:   source,
		Repository: os.Getenv("EMBEDDED_POSTGRES_REPOSITORY"),
		Logger:     slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return nil, err
	}
	return &server{url: s.URL(), by: "programs in " + s.Programs() + ", " + described, end: s.Stop}, nil
}
