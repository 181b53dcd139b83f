package columns

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

type definitions = []metav1.TableColumnDefinition

// name is the first column of nearly each kind.
func name() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{
		Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"],
	}
}

func ageColumn() metav1.TableColumnDefinition {
	return column("Age", "string", metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"])
}

func column(name, kind, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: kind, Description: description}
}

// wide is a column of text that only -o wide shows.
func wide(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "string", Priority: 1, Description: description}
}

const (
	none    = "<none>"
	unknown = "<unknown>"
	unset   = "<unset>"
)

func or(text, instead string) string {
	if text == "" {
		return instead
	}
	return text
}

// age prints how long ago t was.
func age(t metav1.Time) string {
	if t.IsZero() {
		return unknown
	}
	return duration.HumanDuration(time.Since(t.Time))
}

func microAge(t metav1.MicroTime) string { return age(metav1.Time(t)) }

func text[T ~string](p *T, instead string) string {
	if p == nil {
		return instead
	}
	return string(*p)
}

// atMost joins the first few of a list and says how many more there are.
func atMost(list []string, most int, empty string) string {
	if len(list) == 0 {
		return empty
	}
	if len(list) <= most {
		return strings.Join(list, ",")
	}
	return strings.Join(list[:most], ",") + " + " + itoa(len(list)-most) + " more..."
}
