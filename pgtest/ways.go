package pgtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/embedded"
	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
)

type server struct {
	url string
	by  string
	// lasting: the server outlives this test binary, which removes what it created.
	lasting bool
	end     func() error
}

type way struct {
	name  string
	begin func(context.Context) (*server, error)
}

var ways = []way{{"url", byURL}, {"container", byContainer}, {"programs", byPrograms}, {"fetched", byFetched}}

// begin takes the first way that works, and prints why earlier ones do not.
func begin(ctx context.Context, candidates []way) (*server, error) {
	var tried []error
	for _, w := range candidates {
		s, err := w.begin(ctx)
		if err == nil {
			for _, reason := range tried {
				fmt.Fprintln(os.Stderr, "pgtest: not", reason)
			}
			return s, nil
		}
		tried = append(tried, fmt.Errorf("by %s: %w", w.name, err))
	}
	return nil, fmt.Errorf("none of these ways works:\n%w", errors.Join(tried...))
}

// A URL that is set is the only way.
func candidates(forced string, withURL bool) ([]way, error) {
	if forced == "" {
		if withURL {
			return ways[:1], nil
		}
		return ways[1:], nil
	}
	var names []string
	for _, w := range ways {
		if w.name == forced {
			return []way{w}, nil
		}
		names = append(names, w.name)
	}
	return nil, fmt.Errorf("TEST_DATABASE_WAY is %q: it is one of %s", forced, strings.Join(names, ", "))
}

func byURL(context.Context) (*server, error) {
	text := os.Getenv("TEST_DATABASE_URL")
	if text == "" {
		return nil, errors.New("TEST_DATABASE_URL is not set")
	}
	// The error of Parse would include the password.
	if u, err := url.Parse(text); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("TEST_DATABASE_URL is no postgres://… URL")
	}
	return &server{url: text, by: "TEST_DATABASE_URL", lasting: true, end: func() error { return nil }}, nil
}

func byPrograms(ctx context.Context) (*server, error) { return byEmbedded(ctx, embedded.Machine) }

func byFetched(ctx context.Context) (*server, error) { return byEmbedded(ctx, embedded.Fetched) }

func byEmbedded(ctx context.Context, source embedded.Source) (*server, error) {
	dir, described, err := clusterFolder(memoryFolder, freeMemory)
	if err != nil {
		return nil, err
	}
	// The server removes the folder when it stops, Start when it fails.
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

// memoryFolder: on a disk, databases cost more than the tests themselves.
const memoryFolder = "/dev/shm"

// enoughMemory is for the cluster of one test binary, with others beside it: WAL takes up
// to 1 GiB, a database 10 MB. Containers have 64 MB by default.
const enoughMemory = 2 << 30

func clusterFolder(memory string, free func(string) (uint64, error)) (dir, described string, err error) {
	if room, err := free(memory); err == nil && room >= enoughMemory {
		if dir, err := os.MkdirTemp(memory, "booking-postgres-"); err == nil {
			return dir, "data in memory (" + memory + ")", nil
		}
	}
	dir, err = os.MkdirTemp("", "booking-postgres-")
	return dir, "data in " + filepath.Dir(dir), err
}

const (
	// testcontainers itself retries for minutes.
	engineTimeout    = 5 * time.Second
	containerTimeout = 5 * time.Minute
	stopTimeout      = 30 * time.Second
	// This version of testcontainers removes leftovers with it.
	reaperImage = "testcontainers/ryuk:0.14.0"
)

func byContainer(ctx context.Context) (_ *server, err error) {
	log.SetDefault(log.NewNoopLogger())
	image := cmp.Or(os.Getenv("POSTGRES_IMAGE"), "postgres:16-alpine")
	images := []string{image}
	// Ryuk removes the containers of killed test binaries.
	if !testcontainers.ReadConfig().Config.RyukDisabled {
		images = append(images, reaperImage)
	}
	if err := canRun(ctx, images); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, containerTimeout)
	defer cancel()
	container, err := postgres.Run(ctx, image,
		postgres.WithDatabase("booking_platform"), postgres.WithUsername("booking"), postgres.WithPassword("booking"),
		testcontainers.WithCmdArgs("-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c",
			"max_connections=200", "-c", "timezone=UTC"),
		// On an engine's disk copies take five times as long. Images of Postgres 18 keep
		// their data elsewhere and do not profit.
		testcontainers.WithTmpfs(map[string]string{"/var/lib/postgresql/data": "rw"}),
		postgres.BasicWaitStrategies(),
	)
	end := func() error {
		if container == nil {
			return nil
		}
		return testcontainers.TerminateContainer(container, testcontainers.StopTimeout(stopTimeout))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, end())
		}
	}()
	if err != nil {
		return nil, fmt.Errorf("start a container of %s: %w", image, err)
	}
	url, err := container.ConnectionString(ctx, "sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("find the container of %s: %w", image, err)
	}
	return &server{url: url, by: "a container of " + image, end: end}, nil
}

// canRun returns an error unless the engine has or could pull the images. It pulls
// nothing.
func canRun(ctx context.Context, images []string) (err error) {
	// testcontainers panics on some machines without an engine.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("no container engine: %v", r)
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, engineTimeout, fmt.Errorf("no answer in %v", engineTimeout))
	defer cancel()
	engine, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return fmt.Errorf("no container engine: %w", err)
	}
	defer func() { _ = engine.Close() }()
	if _, err := engine.Ping(ctx, client.PingOptions{}); err != nil {
		return fmt.Errorf("no container engine: %w", err)
	}
	for _, image := range images {
		_, err := engine.ImageInspect(ctx, image)
		if errdefs.IsNotFound(err) {
			_, err = engine.DistributionInspect(ctx, image,
				client.DistributionInspectOptions{EncodedRegistryAuth: credentials(ctx, image)})
		}
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("the engine has no image %s and cannot get it: %w", image, context.Cause(ctx))
		case err != nil && image == reaperImage:
			return fmt.Errorf("the engine has no image %s, which removes what killed tests leave (TESTCONTAINERS_RYUK_DISABLED=true does without), and cannot get it: %w", image, err)
		case err != nil:
			return fmt.Errorf("the engine has no image %s and cannot get it: %w", image, err)
		}
	}
	return nil
}

// credentials are of the user's docker login for an image's registry, or "".
func credentials(ctx context.Context, image string) string {
	_, auth, err := testcontainers.DockerImageAuth(ctx, image)
	if err != nil {
		return ""
	}
	encoded, err := authconfig.Encode(auth)
	if err != nil {
		return ""
	}
	return encoded
}
