#!/bin/sh
# Writes zz_generated.openapi.go to the folder $1, relative to this one.
# API rule notes about types that are not ours go to a file that nobody reads.
set -eu
api=k8s.io/api
machinery=k8s.io/apimachinery/pkg
theirs="
$api/admissionregistration/v1 $api/apiserverinternal/v1alpha1 $api/apps/v1
$api/authentication/v1 $api/authorization/v1 $api/autoscaling/v1 $api/autoscaling/v2
$api/batch/v1 $api/certificates/v1 $api/coordination/v1 $api/core/v1
$api/discovery/v1 $api/events/v1 $api/networking/v1 $api/node/v1 $api/policy/v1
$api/flowcontrol/v1 $api/rbac/v1 $api/resource/v1 $api/scheduling/v1 $api/scheduling/v1alpha3
$api/storage/v1 $api/storagemigration/v1
k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1
k8s.io/kube-aggregator/pkg/apis/apiregistration/v1
k8s.io/metrics/pkg/apis/metrics/v1beta1
$machinery/api/resource $machinery/apis/meta/v1 $machinery/runtime
$machinery/util/intstr $machinery/version
"
ours="berth.dev/berth/spiderpool/v2beta1 berth.dev/berth/spiderpool/cni/v1 berth.dev/berth/internal/plan/volumesnapshot/v1"
readonly=""
for package in $theirs; do readonly="$readonly --readonly-pkg $package"; done
notes=$(mktemp)
trap 'rm -f "$notes"' EXIT
# shellcheck disable=SC2086 # the lists are meant to be split
go tool openapi-gen \
	--output-dir "$1" --output-pkg berth.dev/berth/internal/openapi \
	--output-file zz_generated.openapi.go \
	--output-model-name-file zz_generated.model_name.go \
	--go-header-file /dev/null --report-filename "$notes" \
	$readonly $theirs $ours
