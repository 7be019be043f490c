package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	"gopkg.in/yaml.v3"

	"github.com/hippius/compute/daemon/devnet"
)

const deploy = "../../deploy"

// What the dashboard shows and the alerts watch is what running programs say of themselves, each with a help text.
func checkMetrics(t *testing.T, n *devnet.Net) {
	t.Helper()
	said := map[string]bool{"up": true} // Prometheus' own
	for name, program := range map[string]string{
		"validator0/hippiusd": "hippiusd", "sentinel0": "hippius-sentinel", "gateway0": "hippius-gateway", "miner0": "hippius-miner",
	} {
		text := metricsOf(t, filepath.Join(n.Dir(), name+".yaml"))
		if !strings.Contains(text, `program="`+program+`"`) {
			t.Errorf("%s does not say that it is %s", name, program)
		}
		for _, f := range metricsIn(t, text) {
			said[f] = true
		}
	}
	for where, queries := range map[string][]string{"dashboard": dashboardQueries(t), "alerts": alertQueries(t)} {
		if len(queries) < 15 {
			t.Errorf("the %s has %d queries", where, len(queries))
		}
		for _, q := range queries {
			for _, name := range namesIn(t, q) {
				if !said[name] {
					t.Errorf("%s: no program exports %s, of %q", where, name, q)
				}
			}
		}
	}
}

// metricsOf asks the program with these settings for its metrics.
func metricsOf(t *testing.T, settings string) string {
	t.Helper()
	text, err := askMetrics(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func askMetrics(ctx context.Context, settings string) (string, error) {
	data, err := os.ReadFile(settings)
	if err != nil {
		return "", err
	}
	var set struct {
		Observe string `yaml:"observe"`
	}
	if err := yaml.Unmarshal(data, &set); err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+set.Observe+"/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() //nolint:errcheck // a test
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d", settings, resp.StatusCode)
	}
	return string(body), err
}

var (
	helpLine   = regexp.MustCompile(`^# HELP (\S+) (.+)$`)
	typeLine   = regexp.MustCompile(`^# TYPE (\S+) (\S+)$`)
	metricLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? \S+$`)
)

// metricsIn lists the series in an exposition. Ours have a help text, and counters end in _total.
func metricsIn(t *testing.T, text string) []string {
	t.Helper()
	var out []string
	help := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if m := helpLine.FindStringSubmatch(line); m != nil {
			help[m[1]] = strings.HasSuffix(m[2], ".")
		}
		if m := typeLine.FindStringSubmatch(line); m != nil && strings.HasPrefix(m[1], "hippius") {
			if !help[m[1]] {
				t.Errorf("%s has no sentence of help", m[1])
			}
			if (m[2] == "counter") != strings.HasSuffix(m[1], "_total") {
				t.Errorf("%s is a %s", m[1], m[2])
			}
		}
		if m := metricLine.FindStringSubmatch(line); m != nil {
			out = append(out, m[1])
		}
	}
	return out
}

func dashboardQueries(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deploy, "grafana/hippius.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Type, Title, Description string
			Targets                  []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range board.Panels {
		if p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %q shows nothing, or does not say what", p.Title)
		}
		for _, target := range p.Targets {
			out = append(out, target.Expr)
		}
	}
	return out
}

// alertQueries reads the rules as Prometheus does: no key that it would refuse, and all that somebody who is woken needs.
func alertQueries(t *testing.T) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(deploy, "prometheus/alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read from
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr         string
				For                 string
				Labels, Annotations map[string]string
			}
		}
	}
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	var out, names []string
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || slices.Contains(names, r.Alert) {
				t.Errorf("alert %q: a name of its own is needed", r.Alert)
			}
			if s := r.Labels["severity"]; s != "page" && s != "ticket" {
				t.Errorf("alert %s: severity %q", r.Alert, s)
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("alert %s does not say what is wrong and what to do", r.Alert)
			}
			if _, err := time.ParseDuration(r.For); r.For != "" && err != nil {
				t.Errorf("alert %s: for %q", r.Alert, r.For)
			}
			names, out = append(names, r.Alert), append(out, r.Expr)
		}
	}
	return out
}

// known are the functions used: what the parser takes beside them is not Prometheus' own.
var known = []string{"rate", "changes", "increase", "time", "histogram_quantile"}

// namesIn parses a query and lists the metrics in it.
func namesIn(t *testing.T, query string) []string {
	t.Helper()
	e, err := metricsql.Parse(query)
	if err != nil {
		t.Errorf("query %q: %v", query, err)
		return nil
	}
	var out []string
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.FuncExpr:
			if !slices.Contains(known, e.Name) {
				t.Errorf("query %q: function %s is not known to be Prometheus' own", query, e.Name)
			}
		case *metricsql.MetricExpr:
			for _, alternative := range e.LabelFilterss {
				for _, l := range alternative {
					if l.Label == "__name__" {
						out = append(out, l.Value)
					}
				}
			}
		}
	})
	if len(out) == 0 {
		t.Errorf("query %q names no metric", query)
	}
	return out
}

// The checks above find what they look for.
func TestMetricsAreChecked(t *testing.T) {
	t.Parallel()
	got := namesIn(t, `sum by (a) (rate(x_total{b="c"}[5m])) / on (a) y_bytes > time() - z_seconds`)
	if want := []string{"x_total", "y_bytes", "z_seconds"}; !slices.Equal(got, want) {
		t.Errorf("metrics %v, want %v", got, want)
	}
	text := "# HELP a_b Says it.\n# TYPE a_b gauge\na_b{c=\"d\"} 1\nx_bucket{le=\"+Inf\"} 3e4\n"
	if got := metricsIn(t, text); fmt.Sprint(got) != "[a_b x_bucket]" {
		t.Errorf("metrics %v", got)
	}
}
