package columns

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Definitions are the header of a kind's table.
type Definitions = definitions

// None, Unknown and Unset stand where there is nothing to show.
const (
	None    = none
	Unknown = unknown
	Unset   = unset
)

// Name is the first column of nearly each kind.
func Name() metav1.TableColumnDefinition { return name() }

// Age is the column of the time since creation.
func Age() metav1.TableColumnDefinition { return ageColumn() }

// Column is a column that is always shown.
func Column(name, kind, description string) metav1.TableColumnDefinition {
	return column(name, kind, description)
}

// Wide is a column of text that only -o wide shows.
func Wide(name, description string) metav1.TableColumnDefinition { return wide(name, description) }

// Or prints text, or something instead of an empty one.
func Or(text, instead string) string { return or(text, instead) }

// Since prints how long ago t was.
func Since(t metav1.Time) string { return age(t) }

// Text prints an optional text.
func Text[T ~string](p *T, instead string) string { return text(p, instead) }

// AtMost joins the first few of a list and says how many more there are.
func AtMost(list []string, most int, empty string) string { return atMost(list, most, empty) }

// Containers joins the names and the images of a template's containers.
func Containers(list []corev1.Container) (names, images string) { return containers(list) }

// ContainersWide are the columns of a template's containers.
func ContainersWide() Definitions {
	return Definitions{
		wide("Containers", "Names of each container in the template."),
		wide("Images", "Images referenced by each container in the template."),
	}
}
