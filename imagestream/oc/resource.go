package oc

import (
	"slices"
	"strings"
)

// Resource is a kind of object that a server knows.
type Resource struct {
	// Plural and Singular are the names by which people ask for it, in lower case; Short are shorter ones.
	Plural, Singular string
	Short            []string
	Kind, Group      string
}

// Resources returns the kinds of object that a cluster has and these commands may meet.
func Resources() []Resource {
	r := func(group, kind, plural string, short ...string) Resource {
		return Resource{Plural: plural, Singular: strings.ToLower(kind), Short: short, Kind: kind, Group: group}
	}
	return []Resource{
		r(imageGroup, "ImageStream", imageStreams, "is"),
		r(imageGroup, "ImageStreamTag", imageStreamTags, "istag"),
		r(imageGroup, "ImageStreamImage", "imagestreamimages", "isimage"),
		r(imageGroup, "ImageStreamImport", imageStreamImports),
		r(imageGroup, "ImageStreamMapping", "imagestreammappings"),
		r(imageGroup, "ImageTag", "imagetags", "itag"),
		r(imageGroup, "Image", "images"),
		r("", "Pod", "pods", "po"),
		r("", "Service", "services", "svc"),
		r("", "ConfigMap", "configmaps", "cm"),
		r("", "Secret", "secrets"),
		r("", "ServiceAccount", "serviceaccounts", "sa"),
		r("", "ReplicationController", "replicationcontrollers", "rc"),
		r("", "PodTemplate", "podtemplates"),
		r("apps", "Deployment", "deployments", "deploy"),
		r("apps", "DaemonSet", "daemonsets", "ds"),
		r("apps", "StatefulSet", "statefulsets", "sts"),
		r("apps", "ReplicaSet", "replicasets", "rs"),
		r("batch", "Job", "jobs"),
		r("batch", "CronJob", "cronjobs", "cj"),
		r("apps.openshift.io", "DeploymentConfig", "deploymentconfigs", "dc"),
		r("build.openshift.io", "BuildConfig", "buildconfigs", "bc"),
		r("build.openshift.io", "Build", "builds"),
		r("route.openshift.io", "Route", "routes"),
	}
}

// findResource returns the resource that people call by that word: plural, singular, kind or short name in any
// case, with or without ".group" behind it.
func findResource(resources []Resource, word string) (Resource, bool) {
	word = strings.ToLower(word)
	i := slices.IndexFunc(resources, func(r Resource) bool {
		name := word
		if r.Group != "" {
			name = strings.TrimSuffix(word, "."+r.Group)
		}
		return name == r.Plural || name == r.Singular || slices.Contains(r.Short, name)
	})
	if i < 0 {
		return Resource{}, false
	}
	return resources[i], true
}
