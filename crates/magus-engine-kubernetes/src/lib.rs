//! Kubernetes itself: the StatefulSets that Mage makes, one for each workspace, read as they run.
