package manifests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// ruleFile is a file of Prometheus rules, and what their unit tests name.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

func alerts(t *testing.T) (file ruleFile) {
	t.Helper()
	if err := yaml.Unmarshal(read(t, "k8s/monitoring/alerts.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// Prometheus reads the rules, and they do what their unit tests say.
func TestAlerts(t *testing.T) {
	promtool := tool(t, "promtool")
	output(t, nil, promtool, "check", "rules", "--lint=all", "--lint-fatal", "k8s/monitoring/alerts.yaml")
	output(t, nil, promtool, "test", "rules", "k8s/monitoring/alerts_test.yaml")
}

// Each alert was seen firing, was seen silent on a quiet day, and has a runbook.
func TestEveryAlertIsTestedAndExplained(t *testing.T) {
	var tests struct {
		Tests []struct {
			Name  string
			Cases []struct {
				Alert string `yaml:"alertname"`
				Fires []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(read(t, "k8s/monitoring/alerts_test.yaml"), &tests); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, c := range test.Cases {
			fires[c.Alert] = fires[c.Alert] || len(c.Fires) > 0
			quiet[c.Alert] = quiet[c.Alert] || len(c.Fires) == 0 && test.Name == "a quiet day"
		}
	}
	headings := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(string(read(t, "docs/operations.md")), -1) {
		headings["docs/operations.md#"+strings.ToLower(heading[1])] = true
	}
	for _, group := range alerts(t).Groups {
		for _, rule := range group.Rules {
			if !fires[rule.Alert] || !quiet[rule.Alert] {
				t.Errorf("%s: seen firing: %v, seen silent on a quiet day: %v", rule.Alert, fires[rule.Alert], quiet[rule.Alert])
			}
			if url := rule.Annotations["runbook_url"]; !headings[url] || !strings.HasSuffix(url, "#"+strings.ToLower(rule.Alert)) {
				t.Errorf("%s: no such runbook: %q", rule.Alert, url)
			}
			if s := rule.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s: severity %q", rule.Alert, s)
			}
		}
	}
}

// The rules for Prometheus and the rules for its operator are the same.
func TestPrometheusRule(t *testing.T) {
	var plain any
	var object struct{ Spec any }
	if err := yaml.Unmarshal(read(t, "k8s/monitoring/alerts.yaml"), &plain); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(read(t, "k8s/components/monitoring/prometheusrule.yaml"), &object); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(plain, object.Spec) {
		t.Error("prometheusrule.yaml holds other rules than alerts.yaml")
	}
}

type panel struct {
	Title, Type string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr string }
}

func dashboard(t *testing.T) []panel {
	t.Helper()
	var board struct{ Panels []panel }
	if err := json.Unmarshal(read(t, "k8s/components/monitoring/dashboard.json"), &board); err != nil {
		t.Fatal(err)
	}
	if len(board.Panels) == 0 {
		t.Fatal("no panels")
	}
	return board.Panels
}

// Prometheus can read what each panel asks, and no panel lies over another.
func TestDashboardAsks(t *testing.T) {
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var rules []rule
	variables := strings.NewReplacer("$namespace", ".*", "$job", ".*", "$__rate_interval", "5m")
	taken := map[[2]int]string{}
	for _, p := range dashboard(t) {
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panel %q lies over %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks nothing", p.Title)
		}
		for _, target := range p.Targets {
			rules = append(rules, rule{"panel:" + string(rune('a'+len(rules)/26)) + string(rune('a'+len(rules)%26)), variables.Replace(target.Expr)})
		}
	}
	file, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, nil, tool(t, "promtool"), "check", "rules", path)
}
